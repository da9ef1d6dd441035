//! The names by which people call dead letters: the place where one stands.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use millrace_model::{Code, Fault, Result};
use millrace_runtime::dead_letters::{DeadLetter, Place};

use crate::letters::Letter;

/// `topic:partition:offset`, or without the topic where that is clear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LetterId {
    topic: Option<String>,
    partition: i32,
    offset: i64,
}

impl FromStr for LetterId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("`{text}` is no dead letter's ID; expected TOPIC:PARTITION:OFFSET, or PARTITION:OFFSET");
        let (rest, offset) = text.rsplit_once(':').ok_or_else(expected)?;
        let (topic, partition) = rest.rsplit_once(':').map_or((None, rest), |(topic, partition)| (Some(topic), partition));
        let (partition, offset) = partition.parse().ok().zip(offset.parse().ok()).ok_or_else(expected)?;
        Ok(Self { topic: topic.map(str::to_owned), partition, offset })
    }
}

impl fmt::Display for LetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(topic) = &self.topic {
            write!(f, "{topic}:")?;
        }
        write!(f, "{}:{}", self.partition, self.offset)
    }
}

impl LetterId {
    fn means(&self, letter: &DeadLetter) -> bool {
        std::iter::once(&letter.place).chain(&letter.copies).any(|place| self.is(place))
    }

    fn is(&self, place: &Place) -> bool {
        let topic = self.topic.as_ref().is_none_or(|topic| *topic == place.topic);
        topic && (self.partition, self.offset) == (place.partition, place.offset)
    }
}

/// The letter that `id` means.
///
/// # Errors
/// [`Code::LetterMissing`] when there is none, or several topics have one.
pub fn find<'a>(letters: &'a [Letter], id: &LetterId) -> Result<&'a Letter> {
    let found: Vec<&Letter> = letters.iter().filter(|letter| id.means(&letter.letter)).collect();
    match found[..] {
        [letter] => Ok(letter),
        [] => Err(Fault::operator(Code::LetterMissing, format!("there is no dead letter {id}; {}", Code::LetterMissing.help()))),
        _ => {
            let places: Vec<String> = found.iter().map(|letter| letter.letter.place.to_string()).collect();
            Err(Fault::operator(Code::LetterMissing, format!("several topics have a dead letter {id}; say which: {}", places.join(", "))))
        }
    }
}

/// How the letters are called among one another: with the topic where they are of several.
#[derive(Debug, Clone, Copy)]
pub struct Names {
    with_topic: bool,
}

impl Names {
    /// The names of `letters`.
    pub fn among<'a>(letters: impl IntoIterator<Item = &'a DeadLetter>) -> Self {
        let topics: BTreeSet<&str> = letters.into_iter().map(|letter| letter.place.topic.as_str()).collect();
        Self { with_topic: topics.len() > 1 }
    }

    /// The name of one of them.
    pub fn of(self, letter: &DeadLetter) -> String {
        let Place { partition, offset, .. } = letter.place;
        if self.with_topic { letter.place.to_string() } else { format!("{partition}:{offset}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millrace_model::Record;

    fn letter(topic: &str, offset: i64) -> Letter {
        let record = Record { topic, partition: 0, offset, timestamp: 0, key: None, value: None, headers: &[] };
        Letter { letter: DeadLetter::of(&record), resolution: None, behind: 0 }
    }

    fn id(text: &str) -> LetterId {
        text.parse().expect("an id")
    }

    #[test]
    fn an_id_names_its_topic_or_leaves_it_out() {
        assert_eq!(id("orders.dead:3:17"), LetterId { topic: Some("orders.dead".into()), partition: 3, offset: 17 });
        assert_eq!(id("3:17").to_string(), "3:17");
        for text in ["", "17", "a:17", "t:0:x", ":"] {
            assert!(text.parse::<LetterId>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_id_that_several_topics_have_must_say_which() {
        let letters = [letter("a", 1), letter("b", 1), letter("b", 2)];
        let ambiguous = find(&letters, &id("0:1")).expect_err("two").to_string();
        assert!(ambiguous.contains("say which: a:0:1, b:0:1"), "{ambiguous}");
        assert_eq!(find(&letters, &id("b:0:1")).expect("one").letter.place.topic, "b");
        assert_eq!(find(&letters, &id("0:2")).expect("one").letter.place.offset, 2);
        assert_eq!(find(&letters, &id("0:3")).expect_err("none").code(), Code::LetterMissing);
    }

    #[test]
    fn letters_of_one_topic_are_called_without_it() {
        let letters = [letter("a", 1), letter("b", 1)];
        assert_eq!(Names::among([&letters[0].letter]).of(&letters[0].letter), "0:1");
        assert_eq!(Names::among(letters.iter().map(|letter| &letter.letter)).of(&letters[0].letter), "a:0:1");
    }
}
