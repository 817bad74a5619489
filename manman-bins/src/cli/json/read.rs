//! JSON to messages, strictly: what the message does not have is refused with its place.

use std::fmt;

use prost::{
    Message, Name,
    bytes::BufMut,
    encoding::{WireType, encode_key, encode_varint},
};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_json::Number;

use super::schema::{self, Field, Kind};

/// Reads a message.
///
/// # Errors
/// A sentence that begins with the place of the mistake.
pub fn read<M: Message + Name + Default>(text: &str) -> Result<M, String> {
    let json: Json = serde_json::from_str(text).map_err(|error| format!("is not valid JSON: {error}"))?;
    let mut bytes = Vec::new();
    message(&M::full_name(), &json, "", &mut bytes)?;
    M::decode(bytes.as_slice()).map_err(|error| error.to_string())
}

/// JSON as it was written: a key that is there twice is there twice.
enum Json {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    fn called(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(true) => "true",
            Self::Bool(false) => "false",
            Self::Number(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
        }
    }
}

fn at(place: &str, problem: impl fmt::Display) -> String {
    if place.is_empty() { problem.to_string() } else { format!("{place}: {problem}") }
}

fn expected(place: &str, what: &str, found: &Json) -> String {
    at(place, format_args!("{what} is expected, not {}", found.called()))
}

fn message(name: &str, json: &Json, place: &str, to: &mut Vec<u8>) -> Result<(), String> {
    let Json::Object(entries) = json else { return Err(expected(place, "an object", json)) };
    let known = &schema::fields(name).fields;
    for (index, (key, value)) in entries.iter().enumerate() {
        let place = if place.is_empty() { key.clone() } else { format!("{place}.{key}") };
        let Some(field) = known.iter().find(|field| field.name == *key) else {
            let mut names: Vec<_> = known.iter().map(|field| field.name.as_str()).collect();
            names.sort_unstable();
            return Err(at(&place, format_args!("there is no such field; known are {}", names.join(", "))));
        };
        if entries[..index].iter().any(|(earlier, _)| earlier == key) {
            return Err(at(&place, "is there twice"));
        }
        if matches!(value, Json::Null) && (field.optional || field.repeated) {
            continue;
        }
        field_bytes(field, value, &place, to)?;
    }
    Ok(())
}

fn field_bytes(field: &Field, json: &Json, place: &str, to: &mut Vec<u8>) -> Result<(), String> {
    if !field.repeated {
        return single(field, json, place, to);
    }
    if let Kind::Message(name) = &field.kind
        && schema::fields(name).is_entry
    {
        let Json::Object(entries) = json else { return Err(expected(place, "an object", json)) };
        for (index, (key, value)) in entries.iter().enumerate() {
            let place = format!("{place}[{key}]");
            if entries[..index].iter().any(|(earlier, _)| earlier == key) {
                return Err(at(&place, "is there twice"));
            }
            let mut entry = Vec::new();
            for inner in &schema::fields(name).fields {
                match inner.name.as_str() {
                    "key" => bytes_field(inner.number, key.as_bytes(), &mut entry),
                    _ => single(inner, value, &place, &mut entry)?,
                }
            }
            bytes_field(field.number, &entry, to);
        }
        return Ok(());
    }
    let Json::List(values) = json else { return Err(expected(place, "a list", json)) };
    for (index, value) in values.iter().enumerate() {
        single(field, value, &format!("{place}[{index}]"), to)?;
    }
    Ok(())
}

#[expect(clippy::cast_sign_loss, reason = "that is how the wire carries signed numbers")]
fn single(field: &Field, json: &Json, place: &str, to: &mut Vec<u8>) -> Result<(), String> {
    let number = field.number;
    match &field.kind {
        Kind::Bool => match json {
            Json::Bool(value) => varint_field(number, u64::from(*value), to),
            _ => return Err(expected(place, "true or false", json)),
        },
        Kind::Int32 => {
            varint_field(number, signed(json, place, i32::MIN.into(), i32::MAX.into())? as u64, to)
        }
        Kind::Int64 => varint_field(number, signed(json, place, i64::MIN, i64::MAX)? as u64, to),
        Kind::Uint32 => varint_field(number, unsigned(json, place, u32::MAX.into())?, to),
        Kind::Uint64 => varint_field(number, unsigned(json, place, u64::MAX)?, to),
        Kind::Text | Kind::Bytes => match json {
            Json::Text(text) => bytes_field(number, text.as_bytes(), to),
            _ => return Err(expected(place, "a text", json)),
        },
        Kind::Enum(words) => match json {
            Json::Text(text) => varint_field(number, word(words, text, place)? as u64, to),
            _ => return Err(expected(place, "a word", json)),
        },
        Kind::Message(name) => {
            let mut inner = Vec::new();
            message(name, json, place, &mut inner)?;
            bytes_field(number, &inner, to);
        }
        // Nothing that is read from a file has one.
        Kind::Timestamp | Kind::Other => return Err(at(place, "cannot be said in a file")),
    }
    Ok(())
}

/// The number of a word; `-` may stand for `_`, capitals for small letters.
fn word(words: &[(i32, String)], text: &str, place: &str) -> Result<i32, String> {
    let wanted = text.to_ascii_lowercase().replace('-', "_");
    let real = words.iter().filter(|(number, _)| *number != 0);
    match real.clone().find(|(_, word)| *word == wanted) {
        Some((number, _)) => Ok(*number),
        None => {
            let words: Vec<_> = real.map(|(_, word)| word.as_str()).collect();
            Err(at(place, format_args!("{text:?} is not one of {}", words.join(", "))))
        }
    }
}

fn signed(json: &Json, place: &str, first: i64, last: i64) -> Result<i64, String> {
    let number = whole(json, place)?;
    let fits = number.as_i64().filter(|value| (first..=last).contains(value));
    fits.ok_or_else(|| at(place, format_args!("{number} is not within {first} to {last}")))
}

fn unsigned(json: &Json, place: &str, last: u64) -> Result<u64, String> {
    let number = whole(json, place)?;
    let fits = number.as_u64().filter(|value| *value <= last);
    fits.ok_or_else(|| at(place, format_args!("{number} is not within 0 to {last}")))
}

fn whole<'a>(json: &'a Json, place: &str) -> Result<&'a Number, String> {
    match json {
        Json::Number(number) if number.is_f64() => {
            Err(at(place, format_args!("{number} is not a whole number")))
        }
        Json::Number(number) => Ok(number),
        _ => Err(expected(place, "a number", json)),
    }
}

fn varint_field(number: u32, value: u64, to: &mut impl BufMut) {
    encode_key(number, WireType::Varint, to);
    encode_varint(value, to);
}

fn bytes_field(number: u32, bytes: &[u8], to: &mut Vec<u8>) {
    encode_key(number, WireType::LengthDelimited, to);
    encode_varint(bytes.len() as u64, to);
    to.extend_from_slice(bytes);
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AsWritten;

        impl<'de> Visitor<'de> for AsWritten {
            type Value = Json;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }

            fn visit_unit<E>(self) -> Result<Json, E> {
                Ok(Json::Null)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
                Ok(Json::Bool(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
                Ok(Json::Number(value.into()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
                Ok(Json::Number(value.into()))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
                Ok(Number::from_f64(value).map_or(Json::Null, Json::Number))
            }

            fn visit_str<E>(self, value: &str) -> Result<Json, E> {
                Ok(Json::Text(value.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(Json::List(list))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json, A::Error> {
                let mut object = Vec::new();
                while let Some(entry) = entries.next_entry()? {
                    object.push(entry);
                }
                Ok(Json::Object(object))
            }
        }

        deserializer.deserialize_any(AsWritten)
    }
}
