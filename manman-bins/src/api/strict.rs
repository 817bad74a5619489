//! Holds the bytes of a request against the API's definition.
//!
//! prost passes over fields that it does not know. A client that is newer than this
//! server, or mistaken, would see its wish accepted and ignored.

use std::{collections::HashMap, sync::LazyLock};

use prost::{
    Message as _,
    encoding::{WireType, decode_key, decode_varint},
};
use prost_types::{
    DescriptorProto, FileDescriptorSet,
    field_descriptor_proto::{Label, Type},
};

use super::v1;

/// What is wrong with a request: the field and the problem.
type Refused = (String, String);

struct Field {
    name: String,
    repeated: bool,
    text: bool,
    /// The full name of the message in it.
    message: Option<String>,
}

type Fields = HashMap<u32, Field>;

static MESSAGES: LazyLock<HashMap<String, Fields>> = LazyLock::new(|| {
    let mut messages = HashMap::new();
    let set = FileDescriptorSet::decode(v1::FILE_DESCRIPTOR_SET).unwrap_or_default();
    for file in &set.file {
        for message in &file.message_type {
            collect(file.package(), message, &mut messages);
        }
    }
    messages
});

fn collect(outer: &str, message: &DescriptorProto, messages: &mut HashMap<String, Fields>) {
    let name = format!("{outer}.{}", message.name());
    for nested in &message.nested_type {
        collect(&name, nested, messages);
    }
    let fields = message.field.iter().map(|field| {
        let number = u32::try_from(field.number()).unwrap_or(0);
        let message =
            (field.r#type() == Type::Message).then(|| field.type_name().trim_start_matches('.').to_owned());
        let repeated = field.label() == Label::Repeated;
        (
            number,
            Field { name: field.name().to_owned(), repeated, text: field.r#type() == Type::String, message },
        )
    });
    messages.insert(name, fields.collect());
}

/// Refuses bytes that are no message of this name, fields that it does not have, and text
/// that is not UTF-8 or has a NUL in it.
pub(super) fn check(message: &str, bytes: &[u8]) -> Result<(), Refused> {
    walk(message, bytes, "", 0)
}

fn walk(message: &str, mut bytes: &[u8], path: &str, depth: usize) -> Result<(), Refused> {
    let malformed = |path: &str| (path.to_owned(), "is not a well-formed message".to_owned());
    // The definition is not recursive; what is deeper than it is no message of it.
    if depth > 16 {
        return Err((path.to_owned(), "is nested too deeply".to_owned()));
    }
    let Some(fields) = MESSAGES.get(message) else {
        return Err((path.to_owned(), format!("{message} is not part of this API")));
    };
    let mut seen: HashMap<u32, usize> = HashMap::new();
    while !bytes.is_empty() {
        let (number, wire) = decode_key(&mut bytes).map_err(|_| malformed(path))?;
        let Some(field) = fields.get(&number) else {
            let place = if path.is_empty() { number.to_string() } else { format!("{path}.{number}") };
            return Err((
                place,
                "this version has no such field; use a client of the server's version".to_owned(),
            ));
        };
        let count = seen.entry(number).or_default();
        let mut place = if path.is_empty() { field.name.clone() } else { format!("{path}.{}", field.name) };
        if field.repeated {
            place.push_str(&format!("[{count}]"));
        }
        *count += 1;
        let skip = match wire {
            WireType::Varint => {
                decode_varint(&mut bytes).map_err(|_| malformed(&place))?;
                continue;
            }
            WireType::SixtyFourBit => 8,
            WireType::ThirtyTwoBit => 4,
            WireType::LengthDelimited => {
                let length = decode_varint(&mut bytes).map_err(|_| malformed(&place))?;
                usize::try_from(length).map_err(|_| malformed(&place))?
            }
            WireType::StartGroup | WireType::EndGroup => return Err(malformed(&place)),
        };
        let Some((inner, rest)) = bytes.split_at_checked(skip) else { return Err(malformed(&place)) };
        bytes = rest;
        if wire == WireType::LengthDelimited {
            if let Some(message) = &field.message {
                walk(message, inner, &place, depth + 1)?;
            } else if field.text {
                match std::str::from_utf8(inner) {
                    Err(_) => return Err((place, "is not UTF-8".to_owned())),
                    Ok(text) if text.contains('\0') => {
                        return Err((place, "has a NUL character in it".to_owned()));
                    }
                    Ok(_) => {}
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> v1::CreateGameConfigRequest {
        v1::CreateGameConfigRequest {
            game_id: 1,
            name: "a".into(),
            body: Some(v1::ConfigBody {
                image: "openttd".into(),
                env_template: [("A".to_owned(), "b".to_owned())].into(),
                volumes: vec![v1::Volume { name: "x".into(), ..Default::default() }],
                ..Default::default()
            }),
            idempotency_key: "k".into(),
        }
    }

    const NAME: &str = "manman.v1.CreateGameConfigRequest";

    #[test]
    fn what_is_known_passes() {
        assert_eq!(check(NAME, &request().encode_to_vec()), Ok(()));
        assert_eq!(check(NAME, &[]), Ok(()));
    }

    #[test]
    fn unknown_fields_are_refused_at_any_depth() {
        let mut outer = request().encode_to_vec();
        prost::encoding::bool::encode(99, &true, &mut outer);
        assert_eq!(check(NAME, &outer).unwrap_err().0, "99");

        let mut body = request().body.unwrap().encode_to_vec();
        prost::encoding::bool::encode(77, &true, &mut body);
        let mut outer = Vec::new();
        prost::encoding::bytes::encode(3, &body, &mut outer);
        assert_eq!(check(NAME, &outer).unwrap_err().0, "body.77");
    }

    #[test]
    fn text_that_is_none_is_refused_with_its_field() {
        for bytes in [b"a\xff".as_slice(), b"a\0"] {
            let mut volume = Vec::new();
            prost::encoding::bytes::encode(1, &bytes.to_vec(), &mut volume);
            let mut body = Vec::new();
            prost::encoding::bytes::encode(6, &volume, &mut body);
            let mut outer = Vec::new();
            prost::encoding::bytes::encode(3, &body, &mut outer);
            assert_eq!(check(NAME, &outer).unwrap_err().0, "body.volumes[0].name");
        }
    }

    #[test]
    fn truncated_or_flipped_bytes_never_panic() {
        let bytes = request().encode_to_vec();
        for cut in 0..bytes.len() {
            let _ = check(NAME, &bytes[..cut]);
        }
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                let _ = check(NAME, &flipped);
            }
        }
    }
}
