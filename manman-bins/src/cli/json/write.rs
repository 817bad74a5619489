//! Messages to JSON.

use std::collections::BTreeMap;

use manman_core::clock::Timestamp;
use prost::{
    Message, Name,
    encoding::{WireType, decode_key, decode_varint},
};
use serde_json::{Map, Value};

use super::schema::{self, Field, Kind};
use crate::api::convert::timestamp_in;

/// A message as JSON.
pub fn write<M: Message + Name>(message: &M) -> Value {
    message_value(&M::full_name(), &message.encode_to_vec())
}

/// What one field has on the wire.
enum Raw<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

fn message_value(name: &str, bytes: &[u8]) -> Value {
    let message = schema::fields(name);
    let mut raw = raw(bytes);
    let mut object = Map::new();
    for field in &message.fields {
        let values = raw.remove(&field.number).unwrap_or_default();
        if let Some(value) = field_value(field, &values) {
            object.insert(field.name.clone(), value);
        }
    }
    Value::Object(object)
}

/// The fields of an encoded message. What comes from prost's encoder is well-formed; were
/// it not, the rest would be left out.
fn raw(mut bytes: &[u8]) -> BTreeMap<u32, Vec<Raw<'_>>> {
    let mut fields: BTreeMap<u32, Vec<Raw<'_>>> = BTreeMap::new();
    while let Ok((number, wire)) = decode_key(&mut bytes) {
        let value = match wire {
            WireType::Varint => decode_varint(&mut bytes).ok().map(Raw::Number),
            WireType::LengthDelimited => decode_varint(&mut bytes)
                .ok()
                .and_then(|length| usize::try_from(length).ok())
                .and_then(|length| bytes.split_at_checked(length))
                .map(|(inner, rest)| {
                    bytes = rest;
                    Raw::Bytes(inner)
                }),
            _ => None,
        };
        let Some(value) = value else { break };
        fields.entry(number).or_default().push(value);
    }
    fields
}

fn field_value(field: &Field, values: &[Raw<'_>]) -> Option<Value> {
    if field.repeated {
        if let Kind::Message(name) = &field.kind
            && schema::fields(name).is_entry
        {
            return Some(Value::Object(values.iter().map(|value| entry(name, value)).collect()));
        }
        return Some(Value::Array(values.iter().flat_map(|value| several(&field.kind, value)).collect()));
    }
    match values.last() {
        Some(value) => Some(single(&field.kind, value)),
        None if field.optional => None,
        None => Some(empty(&field.kind)),
    }
}

fn entry(name: &str, value: &Raw<'_>) -> (String, Value) {
    let object = single(&Kind::Message(name.to_owned()), value);
    let key = object["key"].as_str().unwrap_or_default().to_owned();
    (key, object["value"].clone())
}

/// Repeated numbers come packed.
fn several(kind: &Kind, value: &Raw<'_>) -> Vec<Value> {
    match (kind, value) {
        (Kind::Text | Kind::Bytes | Kind::Message(_) | Kind::Timestamp, _) | (_, Raw::Number(_)) => {
            vec![single(kind, value)]
        }
        (_, Raw::Bytes(packed)) => {
            let mut packed = *packed;
            std::iter::from_fn(|| decode_varint(&mut packed).ok())
                .map(|number| single(kind, &Raw::Number(number)))
                .collect()
        }
    }
}

#[expect(
    clippy::cast_possible_wrap,
    clippy::cast_possible_truncation,
    reason = "that is how the wire carries signed numbers"
)]
fn single(kind: &Kind, value: &Raw<'_>) -> Value {
    match (kind, value) {
        (Kind::Bool, Raw::Number(number)) => Value::Bool(*number != 0),
        (Kind::Int32 | Kind::Int64, Raw::Number(number)) => (*number as i64).into(),
        (Kind::Uint32 | Kind::Uint64, Raw::Number(number)) => (*number).into(),
        (Kind::Enum(words), Raw::Number(number)) => {
            let number = *number as i32;
            match words.iter().find(|(known, _)| *known == number) {
                Some((_, word)) => Value::String(word.clone()),
                // A newer server's.
                None => number.into(),
            }
        }
        (Kind::Text | Kind::Bytes, Raw::Bytes(bytes)) => String::from_utf8_lossy(bytes).into(),
        (Kind::Timestamp, Raw::Bytes(bytes)) => {
            let at = prost_types::Timestamp::decode(*bytes).map(timestamp_in).unwrap_or(Timestamp::default());
            at.to_string().into()
        }
        (Kind::Message(name), Raw::Bytes(bytes)) => message_value(name, bytes),
        _ => Value::Null,
    }
}

fn empty(kind: &Kind) -> Value {
    match kind {
        Kind::Text | Kind::Bytes => "".into(),
        _ => single(kind, &Raw::Number(0)),
    }
}
