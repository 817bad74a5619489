//! The API's definition, looked up by name.

use std::{collections::HashMap, sync::LazyLock};

use prost::Message as _;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet,
    field_descriptor_proto::{Label, Type},
};

use crate::{api::v1, cli::output::lower};

/// A message's fields in the order of the definition.
#[derive(Debug, Default)]
pub struct Fields {
    /// The fields.
    pub fields: Vec<Field>,
    /// Whether it is an entry of a map.
    pub is_entry: bool,
}

/// A field.
#[derive(Debug)]
pub struct Field {
    /// Its number on the wire.
    pub number: u32,
    /// Its name.
    pub name: String,
    /// What is in it.
    pub kind: Kind,
    /// Whether there may be several.
    pub repeated: bool,
    /// Whether absent is something else than empty or zero.
    pub optional: bool,
}

/// What is in a field.
#[derive(Debug)]
pub enum Kind {
    /// `true` or `false`.
    Bool,
    /// `int32`.
    Int32,
    /// `int64`.
    Int64,
    /// `uint32`.
    Uint32,
    /// `uint64`.
    Uint64,
    /// Text.
    Text,
    /// Bytes.
    Bytes,
    /// A moment.
    Timestamp,
    /// A message of this name.
    Message(String),
    /// The words of an enum by number.
    Enum(Vec<(i32, String)>),
    /// What this API does not use.
    Other,
}

static MESSAGES: LazyLock<HashMap<String, Fields>> = LazyLock::new(|| {
    // These bytes are made by the build.
    let set = FileDescriptorSet::decode(v1::FILE_DESCRIPTOR_SET).unwrap_or_default();
    let mut enums = HashMap::new();
    for file in &set.file {
        for one in &file.enum_type {
            enums.insert(format!(".{}.{}", file.package(), one.name()), words(one));
        }
    }
    let mut messages = HashMap::new();
    for file in &set.file {
        for message in &file.message_type {
            collect(file.package(), message, &enums, &mut messages);
        }
    }
    messages
});

/// The fields of the message of this full name.
pub fn fields(message: &str) -> &'static Fields {
    static NONE: Fields = Fields { fields: Vec::new(), is_entry: false };
    MESSAGES.get(message).unwrap_or(&NONE)
}

type Enums = HashMap<String, Vec<(i32, String)>>;

fn collect(outer: &str, message: &DescriptorProto, enums: &Enums, to: &mut HashMap<String, Fields>) {
    let name = format!("{outer}.{}", message.name());
    for nested in &message.nested_type {
        collect(&name, nested, enums, to);
    }
    let fields = message.field.iter().map(|field| Field {
        number: u32::try_from(field.number()).unwrap_or(0),
        name: field.name().to_owned(),
        kind: kind(field, enums),
        repeated: field.label() == Label::Repeated,
        // Fields of a `oneof`, with `optional` in front, or with a message in them.
        optional: field.oneof_index.is_some() || field.r#type() == Type::Message,
    });
    let is_entry = message.options.as_ref().is_some_and(|options| options.map_entry());
    to.insert(name, Fields { fields: fields.collect(), is_entry });
}

fn kind(field: &FieldDescriptorProto, enums: &Enums) -> Kind {
    match field.r#type() {
        Type::Bool => Kind::Bool,
        Type::Int32 => Kind::Int32,
        Type::Int64 => Kind::Int64,
        Type::Uint32 => Kind::Uint32,
        Type::Uint64 => Kind::Uint64,
        Type::String => Kind::Text,
        Type::Bytes => Kind::Bytes,
        Type::Message if field.type_name() == ".google.protobuf.Timestamp" => Kind::Timestamp,
        Type::Message => Kind::Message(field.type_name().trim_start_matches('.').to_owned()),
        Type::Enum => Kind::Enum(enums.get(field.type_name()).cloned().unwrap_or_default()),
        _ => Kind::Other,
    }
}

/// `SESSION_STATE_RUNNING` of `SessionState` is `running`.
fn words(one: &EnumDescriptorProto) -> Vec<(i32, String)> {
    let mut prefix = String::new();
    for c in one.name().chars() {
        if c.is_ascii_uppercase() && !prefix.is_empty() {
            prefix.push('_');
        }
        prefix.push(c.to_ascii_uppercase());
    }
    prefix.push('_');
    one.value.iter().map(|value| (value.number(), lower(value.name(), &prefix))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_the_api_is_of_a_kind_that_cannot_be_written() {
        assert!(MESSAGES.len() > 50);
        for (name, message) in MESSAGES.iter().filter(|(name, _)| name.starts_with("manman.")) {
            for field in &message.fields {
                assert!(!matches!(field.kind, Kind::Other), "{name}.{}", field.name);
                if let Kind::Enum(words) = &field.kind {
                    assert_eq!(words[0], (0, "unspecified".to_owned()), "{name}.{}", field.name);
                }
            }
        }
    }
}
