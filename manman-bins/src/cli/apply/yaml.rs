//! YAML as a tree in which everything knows where it was written.
//!
//! What is read is bounded: files by their size, nesting by the parser, aliases by how much
//! there is once they are resolved.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    sync::Arc,
};

use granit_parser::{Event, Options, Parser, ScalarStyle, ScanError, Span, Tag};

use super::place::{Place, Problems};

/// The deepest nesting. The format has eight levels.
const DEEPEST: usize = 32;

/// The most values of one file, with what its aliases stand for.
const MOST_NODES: usize = 50_000;

/// The most bytes of text of one file, with what its aliases stand for.
const MOST_BYTES: usize = 8 << 20;

/// A value.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where it begins.
    pub place: Place,
    /// What it is.
    pub what: What,
}

/// What a value is.
#[derive(Clone, Debug)]
pub enum What {
    /// A word: its text, and whether it stands there without quotes.
    Word(String, bool),
    /// A list.
    List(Vec<Node>),
    /// Keys and values in their order; a key may be there twice.
    Map(Vec<(Node, Node)>),
}

impl Node {
    /// Whether nothing is said.
    pub fn is_nothing(&self) -> bool {
        matches!(&self.what, What::Word(text, true) if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// Whether it is a word that YAML takes for `true` or `false`.
    pub fn as_truth(&self) -> Option<bool> {
        match &self.what {
            What::Word(text, true) => match text.as_str() {
                "true" | "True" | "TRUE" => Some(true),
                "false" | "False" | "FALSE" => Some(false),
                _ => None,
            },
            _ => None,
        }
    }

    /// What it is called.
    pub fn called(&self) -> &'static str {
        match (&self.what, self.as_truth()) {
            _ if self.is_nothing() => "nothing",
            (_, Some(true)) => "true",
            (_, Some(false)) => "false",
            (What::Word(..), None) => "a text",
            (What::List(_), _) => "a list",
            (What::Map(_), _) => "keys and values",
        }
    }

    /// The value of a key, if it has keys.
    pub fn get(&self, key: &str) -> Option<&Self> {
        let What::Map(entries) = &self.what else { return None };
        entries.iter().find(|(known, _)| known.is_word(key)).map(|(_, value)| value)
    }
}

/// The documents of a file, those that are not empty, and whether that is all of it: what is
/// no YAML ends the file.
pub fn documents(file: &str, text: &str, problems: &mut Problems) -> (Vec<Node>, bool) {
    let mut options = Options::default();
    options.flow_nesting_limit = DEEPEST;
    options.block_nesting_limit = DEEPEST;
    let mut reader = Reader {
        events: Parser::new_from_str_with_options(text.trim_start_matches('\u{feff}'), options),
        file: file.into(),
        anchors: HashMap::new(),
        nodes: 0,
        bytes: 0,
    };
    let mut documents = Vec::new();
    loop {
        match reader.document() {
            Ok(Some(node)) if node.is_nothing() => {}
            Ok(Some(node)) => documents.push(node),
            Ok(None) => return (documents, true),
            Err((place, problem)) => {
                problems.add(&place, problem);
                return (documents, false);
            }
        }
    }
}

type Wrong = (Place, String);

struct Reader<E> {
    events: E,
    file: Arc<str>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    bytes: usize,
}

impl<'t, E: Iterator<Item = Result<(Event<'t>, Span), ScanError>>> Reader<E> {
    fn place(&self, line: usize, column: usize) -> Place {
        Place { file: self.file.clone(), line, column: column + 1 }
    }

    fn next(&mut self) -> Result<Option<(Event<'t>, Place)>, Wrong> {
        match self.events.next() {
            None => Ok(None),
            Some(Ok((event, span))) => {
                let place = self.place(span.start.line(), span.start.col());
                Ok(Some((event, place)))
            }
            Some(Err(error)) => {
                let at = error.marker();
                let problem = format!("is not valid YAML: {}", error.info().replace('\n', " "));
                Err((self.place(at.line(), at.col()), problem))
            }
        }
    }

    fn document(&mut self) -> Result<Option<Node>, Wrong> {
        while let Some((event, place)) = self.next()? {
            match event {
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                Event::StreamEnd => return Ok(None),
                event => return self.node(event, place).map(Some),
            }
        }
        Ok(None)
    }

    fn node(&mut self, event: Event<'t>, place: Place) -> Result<Node, Wrong> {
        let (anchor, what) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_text = tagged(tag, &place)?;
                self.count((1, text.len()), &place)?;
                (anchor, What::Word(text.into_owned(), style == ScalarStyle::Plain && !is_text))
            }
            Event::SequenceStart(_, anchor, tag) => {
                tagged(tag, &place)?;
                self.count((1, 0), &place)?;
                (anchor, What::List(self.list(&place)?))
            }
            Event::MappingStart(_, anchor, tag) => {
                tagged(tag, &place)?;
                self.count((1, 0), &place)?;
                (anchor, What::Map(self.map(&place)?))
            }
            Event::Alias(anchor) => {
                // Its place is where it was written: that is what would have to be corrected.
                let Some(node) = self.anchors.get(&anchor).cloned() else {
                    return Err((place, "is an alias of what it stands in".to_owned()));
                };
                self.count(size(&node), &place)?;
                return Ok(node);
            }
            _ => return Err((place, "is not expected here".to_owned())),
        };
        let node = Node { place, what };
        if anchor != 0 {
            // A copy of its own.
            self.count(size(&node), &node.place)?;
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn list(&mut self, begin: &Place) -> Result<Vec<Node>, Wrong> {
        let mut list = Vec::new();
        loop {
            match self.next()? {
                Some((Event::SequenceEnd, _)) => return Ok(list),
                Some((event, place)) => list.push(self.node(event, place)?),
                None => return Err((begin.clone(), "does not end".to_owned())),
            }
        }
    }

    fn map(&mut self, begin: &Place) -> Result<Vec<(Node, Node)>, Wrong> {
        let (mut entries, mut merged): (Vec<(Node, Node)>, Vec<Node>) = (Vec::new(), Vec::new());
        loop {
            let key = match self.next()? {
                Some((Event::MappingEnd, _)) => break,
                Some((event, place)) => self.node(event, place)?,
                None => return Err((begin.clone(), "does not end".to_owned())),
            };
            let Some((event, place)) = self.next()? else {
                return Err((begin.clone(), "does not end".to_owned()));
            };
            let value = self.node(event, place)?;
            match &key.what {
                What::Word(text, true) if text == "<<" => merged.push(value),
                _ => entries.push((key, value)),
            }
        }
        // https://yaml.org/type/merge.html: what stands in the map itself goes before.
        let name = |key: &Node| match &key.what {
            What::Word(text, _) => Some(text.clone()),
            _ => None,
        };
        let mut own: HashSet<_> = entries.iter().filter_map(|(key, _)| name(key)).collect();
        for from in merged {
            let maps = match from.what {
                What::List(maps) => maps,
                _ => vec![from],
            };
            for map in maps {
                let What::Map(others) = map.what else {
                    return Err((map.place, "'<<' takes keys and values, or a list of such".to_owned()));
                };
                entries.extend(
                    others.into_iter().filter(|(key, _)| name(key).is_none_or(|name| own.insert(name))),
                );
            }
        }
        Ok(entries)
    }

    fn count(&mut self, (nodes, bytes): (usize, usize), place: &Place) -> Result<(), Wrong> {
        self.nodes += nodes;
        self.bytes += bytes;
        let problem = match (self.nodes > MOST_NODES, self.bytes > MOST_BYTES) {
            (true, _) => format!("here the file has more than {MOST_NODES} values"),
            (_, true) => format!("here the file has more than {} MiB of text", MOST_BYTES >> 20),
            _ => return Ok(()),
        };
        Err((place.clone(), problem))
    }
}

impl Node {
    fn is_word(&self, text: &str) -> bool {
        matches!(&self.what, What::Word(own, _) if own == text)
    }
}

/// Whether a tag says that a word is text; no other tag means anything here.
fn tagged(tag: Option<Cow<'_, Tag>>, place: &Place) -> Result<bool, Wrong> {
    match tag {
        None => Ok(false),
        Some(tag) if tag.is_yaml_core_schema_tag("str") => Ok(true),
        Some(tag) => Err((place.clone(), format!("the tag {} means nothing here", tag.original()))),
    }
}

/// How many values, and how many bytes of text.
fn size(node: &Node) -> (usize, usize) {
    let add = |one: (usize, usize), other: (usize, usize)| (one.0 + other.0, one.1 + other.1);
    match &node.what {
        What::Word(text, _) => (1, text.len()),
        What::List(list) => list.iter().map(size).fold((1, 0), add),
        What::Map(entries) => {
            entries.iter().flat_map(|(key, value)| [size(key), size(value)]).fold((1, 0), add)
        }
    }
}
