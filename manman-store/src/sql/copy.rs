//! All tables into a backup, and back.

use std::collections::BTreeMap;

use futures::TryStreamExt as _;
use manman_core::{
    clock::Timestamp,
    error::{Error, ErrorKind, Result},
};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, Pool, Row as _, Transaction};

use super::{
    dialect::{Db, Row},
    schema,
    tables::{self, COLUMNS, COUNTERS, INTEGER, REFERENCES, SNAPSHOT, TABLES},
    translate::translate,
};
use crate::backup::{
    Existing,
    file::{Header, Line, Reader, Table, Trailer, Writer, of_bytes, to_bytes},
    parents_first,
};

type Tx<'c> = Transaction<'c, Db>;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Integer,
    /// Where the dialect has no such type it is an integer, as it is in the file.
    Flag,
    Text,
    Bytes,
}

struct Column {
    name: String,
    kind: Kind,
}

fn failed(error: sqlx::Error) -> Error {
    translate("copy the store", error)
}

fn refused(kind: ErrorKind, why: impl Into<String>) -> Error {
    Error::new(kind, "copy the store", why)
}

/// Writes everything that is there at one moment.
pub(crate) async fn save(
    pool: &Pool<Db>,
    schema: i64,
    now: Timestamp,
    mut to: Writer,
) -> Result<(Header, Trailer)> {
    let mut connection = pool.acquire().await.map_err(failed)?.detach();
    sqlx::raw_sql(schema::SETTINGS).execute(&mut connection).await.map_err(failed)?;
    let mut tx = connection.begin_with(SNAPSHOT).await.map_err(failed)?;
    let cluster = sqlx::query("SELECT cluster FROM installation").fetch_optional(&mut *tx).await;
    let Some(row) = cluster.map_err(failed)? else {
        return Err(refused(ErrorKind::Config, "there is no installation in this database"));
    };
    let header = Header::new(schema, row.try_get(0).map_err(failed)?, now, counters(&mut tx).await?);
    to.header(&header)?;
    for table in ordered(&mut tx).await? {
        let columns = columns(&mut tx, &table).await?;
        let names = columns.iter().map(|it| it.name.clone()).collect();
        to.table(Table { table: table.clone(), columns: names })?;
        let shown = columns.iter().map(|it| match it.kind {
            Kind::Integer | Kind::Flag => format!("CAST({} AS {INTEGER})", shown_as(it)),
            Kind::Text | Kind::Bytes => quoted(&it.name),
        });
        let shown = shown.collect::<Vec<_>>().join(", ");
        let sql = AssertSqlSafe(format!("SELECT {shown} FROM {} ORDER BY 1, 2", quoted(&table)));
        let mut rows = sqlx::query(sql).fetch(&mut *tx);
        while let Some(row) = rows.try_next().await.map_err(failed)? {
            let values = columns.iter().enumerate().map(|(index, column)| value(&row, index, column.kind));
            to.row(values.collect::<Result<_, _>>().map_err(failed)?)?;
        }
    }
    tx.rollback().await.map_err(failed)?;
    connection.close().await.map_err(failed)?;
    Ok((header, to.finish()?))
}

fn shown_as(column: &Column) -> String {
    let name = quoted(&column.name);
    // No dialect casts a truth to a large number at once.
    if column.kind == Kind::Flag { format!("CAST({name} AS INTEGER)") } else { name }
}

fn value(row: &Row, index: usize, kind: Kind) -> Result<Value, sqlx::Error> {
    Ok(match kind {
        Kind::Integer | Kind::Flag => row.try_get::<Option<i64>, _>(index)?.map(Value::from),
        Kind::Text => row.try_get::<Option<String>, _>(index)?.map(Value::from),
        Kind::Bytes => row.try_get::<Option<Vec<u8>>, _>(index)?.map(|bytes| of_bytes(&bytes)),
    }
    .unwrap_or(Value::Null))
}

/// Brings in everything that is in the backup, or nothing.
pub(crate) async fn load(
    pool: &Pool<Db>,
    mut from: Reader,
    header: &Header,
    existing: Existing,
) -> Result<Trailer> {
    let mut connection = pool.acquire().await.map_err(failed)?.detach();
    sqlx::raw_sql(schema::SETTINGS).execute(&mut connection).await.map_err(failed)?;
    let mut tx = connection.begin_with(schema::BEGIN).await.map_err(failed)?;
    tables::alone(&mut tx).await?;
    let tables = ordered(&mut tx).await?;
    for table in tables.iter().rev() {
        // What a start makes of an empty database is as good as nothing.
        if existing == Existing::Keep && table != "installation" {
            let sql = AssertSqlSafe(format!("SELECT 1 FROM {} LIMIT 1", quoted(table)));
            if sqlx::query(sql).fetch_optional(&mut *tx).await.map_err(failed)?.is_some() {
                let why = format!("there is something in {table}; only an empty store is restored into");
                return Err(refused(ErrorKind::Conflict, why));
            }
        }
        let sql = AssertSqlSafe(format!("DELETE FROM {}", quoted(table)));
        sqlx::query(sql).execute(&mut *tx).await.map_err(failed)?;
    }
    let mut into = None;
    let trailer = loop {
        match from.next()? {
            Line::Table(table) => {
                if !tables.contains(&table.table) {
                    let why = format!("the backup has a table {:?}, and the store has not", table.table);
                    return Err(refused(ErrorKind::Config, why));
                }
                into = Some(insertion(&mut tx, table).await?);
            }
            Line::Row(values) => {
                let (sql, columns) =
                    into.as_ref().ok_or_else(|| refused(ErrorKind::Corrupt, "a row of no table"))?;
                insert(&mut tx, sql, columns, values).await?;
            }
            Line::Trailer(trailer) => break trailer,
        }
    };
    for (table, &counter) in header.counters.iter().filter(|(_, counter)| **counter > 0) {
        if tables.contains(table) {
            tables::count_on(&mut tx, table, counter).await?;
        }
    }
    if let Some(table) = schema::broken(&mut tx).await? {
        let why = format!("a row of {table} would refer to nothing");
        return Err(refused(ErrorKind::Conflict, why));
    }
    tx.commit().await.map_err(failed)?;
    connection.close().await.map_err(failed)?;
    Ok(trailer)
}

/// The statement that brings a row into a table, and what its columns hold.
async fn insertion(tx: &mut Tx<'_>, table: Table) -> Result<(String, Vec<Column>)> {
    let mut known = columns(tx, &table.table).await?;
    let mut taken = Vec::new();
    for name in &table.columns {
        let Some(at) = known.iter().position(|it| it.name == *name) else {
            let why = format!("the backup has a column {name:?} in {}, and the store has not", table.table);
            return Err(refused(ErrorKind::Config, why));
        };
        taken.push(known.swap_remove(at));
    }
    let names = taken.iter().map(|it| quoted(&it.name)).collect::<Vec<_>>().join(", ");
    let values = taken.iter().enumerate().map(|(index, column)| match column.kind {
        Kind::Flag => format!("CAST(CAST(${} AS INTEGER) AS BOOLEAN)", index + 1),
        _ => format!("${}", index + 1),
    });
    let values = values.collect::<Vec<_>>().join(", ");
    Ok((format!("INSERT INTO {} ({names}) VALUES ({values})", quoted(&table.table)), taken))
}

async fn insert(tx: &mut Tx<'_>, sql: &str, columns: &[Column], values: Vec<Value>) -> Result<()> {
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for (column, value) in columns.iter().zip(values) {
        let odd = || {
            let why = format!("{}: the value in the backup is of another kind", column.name);
            refused(ErrorKind::Corrupt, why)
        };
        let absent = value.is_null();
        query = match column.kind {
            Kind::Integer | Kind::Flag => {
                let number = value.as_i64();
                if number.is_none() && !absent {
                    return Err(odd());
                }
                query.bind(number)
            }
            Kind::Text => match value {
                Value::String(text) => query.bind(Some(text)),
                Value::Null => query.bind(None::<String>),
                _ => return Err(odd()),
            },
            Kind::Bytes => {
                let bytes = to_bytes(&value);
                if bytes.is_none() && !absent {
                    return Err(odd());
                }
                query.bind(bytes)
            }
        };
    }
    query.execute(&mut **tx).await.map(drop).map_err(failed)
}

async fn ordered(tx: &mut Tx<'_>) -> Result<Vec<String>> {
    let rows = sqlx::query(TABLES).fetch_all(&mut **tx).await.map_err(failed)?;
    let tables = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>().map_err(failed)?;
    let rows = sqlx::query(REFERENCES).fetch_all(&mut **tx).await.map_err(failed)?;
    let pairs = rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?)));
    let references: Vec<_> = pairs.collect::<Result<_, _>>().map_err(failed)?;
    Ok(parents_first(tables, &references))
}

async fn columns(tx: &mut Tx<'_>, table: &str) -> Result<Vec<Column>> {
    let rows = sqlx::query(COLUMNS).bind(table.to_owned()).fetch_all(&mut **tx).await.map_err(failed)?;
    rows.iter()
        .map(|row| {
            let (name, kind) =
                (row.try_get(0).map_err(failed)?, row.try_get::<String, _>(1).map_err(failed)?);
            let unknown = || refused(ErrorKind::Unexpected, format!("{table} has a column of type {kind}"));
            Ok(Column { name, kind: tables::kind(&kind).ok_or_else(unknown)? })
        })
        .collect()
}

async fn counters(tx: &mut Tx<'_>) -> Result<BTreeMap<String, i64>> {
    let rows = sqlx::query(COUNTERS).fetch_all(&mut **tx).await.map_err(failed)?;
    let pairs = rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?)));
    pairs.collect::<Result<_, _>>().map_err(failed)
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
