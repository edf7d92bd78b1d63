//! Token ids to text, piece by piece, while they are generated.
//!
//! Two laws hold, and are tested on random ids: a piece that was given out is never taken back, and all pieces
//! together are what decoding all the ids at once gives. So text waits where a later token can still change it:
//! - half a character, which decodes to U+FFFD until its other bytes come;
//! - a run of byte tokens (`<0xE6>`), which is one text only if the whole run is valid UTF-8, and otherwise one U+FFFD
//!   a byte.

use crate::error::TextError;
use crate::tokenizer::Tokenizer;

/// Decodes the ids of one text as they come, special tokens left out.
#[derive(Debug)]
pub struct TextStream<'a> {
    tokenizer: &'a Tokenizer,
    ids: Vec<u32>,
    /// Decoding starts here: far enough back that what decoders do to a first token has no effect on new text.
    context: usize,
    /// The ids before this have been given out.
    given: usize,
    /// The bytes of text given out.
    emitted: usize,
}

impl<'a> TextStream<'a> {
    /// A stream at the start of a text.
    pub fn new(tokenizer: &'a Tokenizer) -> Self {
        Self { tokenizer, ids: Vec::new(), context: 0, given: 0, emitted: 0 }
    }

    /// Takes the next id and returns the text that is now certain, possibly none. Special tokens, and ids that only
    /// pad the model's vocabulary, have no text.
    pub fn push(&mut self, id: u32) -> Result<String, TextError> {
        let Ok(token) = self.tokenizer.token_of(id) else { return Ok(String::new()) };
        if self.tokenizer.is_special(id) {
            return Ok(String::new());
        }
        self.ids.push(id);
        if is_byte_token(&token) {
            return Ok(String::new());
        }
        let before = self.decode(self.context, self.given)?;
        let now = self.decode(self.context, self.ids.len())?;
        match now.strip_prefix(before.as_str()) {
            Some(piece) if !piece.is_empty() && !piece.ends_with(char::REPLACEMENT_CHARACTER) => {
                let piece = piece.to_owned();
                self.context = self.given;
                self.given = self.ids.len();
                self.emitted += piece.len();
                Ok(piece)
            }
            _ => Ok(String::new()),
        }
    }

    /// The text still held back, once no more ids come.
    pub fn finish(self) -> Result<String, TextError> {
        let mut all = self.decode(0, self.ids.len())?;
        if !all.is_char_boundary(self.emitted) {
            return Err(TextError::Decode("the whole text differs from its pieces".to_owned()));
        }
        Ok(all.split_off(self.emitted))
    }

    fn decode(&self, from: usize, to: usize) -> Result<String, TextError> {
        self.tokenizer.decode_without_special(self.ids.get(from..to).unwrap_or_default())
    }
}

/// Whether a token is one byte in the spelling of byte fallback.
fn is_byte_token(token: &str) -> bool {
    token
        .strip_prefix("<0x")
        .and_then(|rest| rest.strip_suffix('>'))
        .is_some_and(|hex| hex.len() == 2 && u8::from_str_radix(hex, 16).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn byte_tokens_are_told_from_text() {
        assert!(is_byte_token("<0xE6>"));
        assert!(!is_byte_token("<0xE6F>"));
        assert!(!is_byte_token("0xE6"));
        assert!(!is_byte_token("<0xé>"));
    }
}
