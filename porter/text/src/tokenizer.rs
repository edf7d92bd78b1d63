//! Text to token ids and back.
//!
//! The algorithms are the `tokenizers` crate's, the same code that transformers' fast tokenizers run. Truncation
//! and padding that a `tokenizer.json` carries are dropped, as transformers drops them: nothing is cut silently.

mod guard;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::error::TextError;

/// The largest `tokenizer.json` that is read. The largest in use (Gemma, 262k tokens) has 33 MB.
pub const MAX_TOKENIZER_BYTES: u64 = 256 << 20;

/// A text as the model sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Encoding {
    /// Token ids.
    pub ids: Vec<u32>,
    /// The vocabulary entry of each id, in the tokenizer's own spelling (`Ġworld`, `##ing`, `▁the`).
    pub tokens: Vec<String>,
    /// Where each token comes from, as half-open ranges of characters (not bytes) of the text; `(0, 0)` for
    /// tokens that the tokenizer added.
    pub offsets: Vec<(usize, usize)>,
    /// The segment of each token, BERT's `token_type_ids`.
    pub type_ids: Vec<u32>,
}

/// The side on which shorter texts of a batch are filled up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PadSide {
    /// Before the text: what generation needs, since the last column is the newest token.
    Left,
    /// After the text: what encoders are trained with.
    Right,
}

/// Texts of one batch, padded to the longest; row-major `[texts, length]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The length of each row.
    pub length: usize,
    /// Token ids, `pad` where there is no text.
    pub ids: Vec<u32>,
    /// 1 at tokens, 0 at padding.
    pub attention_mask: Vec<u32>,
    /// Segments, 0 at padding.
    pub type_ids: Vec<u32>,
}

impl Batch {
    /// Pads `rows` to the longest of them with the id `pad`.
    pub fn new(rows: &[Encoding], pad: u32, side: PadSide) -> Self {
        let length = rows.iter().map(|row| row.ids.len()).max().unwrap_or(0);
        let fill = |values: &[u32], padding: u32| -> Vec<u32> {
            let padding = vec![padding; length.saturating_sub(values.len())];
            match side {
                PadSide::Left => [&padding, values].concat(),
                PadSide::Right => [values, &padding].concat(),
            }
        };
        Self {
            length,
            ids: rows.iter().flat_map(|row| fill(&row.ids, pad)).collect(),
            attention_mask: rows.iter().flat_map(|row| fill(&vec![1; row.ids.len()], 0)).collect(),
            type_ids: rows.iter().flat_map(|row| fill(&row.type_ids, 0)).collect(),
        }
    }
}

/// A tokenizer: normalisation, splitting, the vocabulary, and the way back.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    special: BTreeSet<u32>,
}

impl Tokenizer {
    /// Reads a `tokenizer.json` of at most [`MAX_TOKENIZER_BYTES`].
    pub fn from_file(path: &Path) -> Result<Self, TextError> {
        Self::from_json(&read_limited(path, MAX_TOKENIZER_BYTES)?, &path.display().to_string())
    }

    /// Reads the contents of a `tokenizer.json`; `origin` names it in errors.
    pub fn from_json(json: &[u8], origin: &str) -> Result<Self, TextError> {
        let invalid = |reason: String| TextError::Tokenizer { origin: origin.to_owned(), reason };
        guard::check(json).map_err(invalid)?;
        let inner = guard::guarded(|| tokenizers::Tokenizer::from_bytes(json)).map_err(invalid)?;
        Self::new(inner).map_err(invalid)
    }

    /// The contents of its `tokenizer.json`.
    pub fn to_json(&self) -> Result<String, TextError> {
        self.inner.to_string(true).map_err(|error| TextError::Tokenizer {
            origin: "tokenizer.json to be written".to_owned(),
            reason: error.to_string(),
        })
    }

    pub(crate) fn new(mut inner: tokenizers::Tokenizer) -> Result<Self, String> {
        inner.with_truncation(None).map_err(|error| error.to_string())?;
        inner.with_padding(None);
        let special = inner
            .get_added_tokens_decoder()
            .into_iter()
            .filter(|(_, token)| token.special)
            .map(|(id, _)| id)
            .collect();
        Ok(Self { inner, special })
    }

    /// Encodes a text with the special tokens that the model expects around it (BOS, `[CLS]`, ...).
    pub fn encode(&self, text: &str) -> Result<Encoding, TextError> {
        self.encode_with(text, true)
    }

    /// Encodes a text without adding special tokens: right for rendered chat templates, which hold their own.
    pub fn encode_without_special(&self, text: &str) -> Result<Encoding, TextError> {
        self.encode_with(text, false)
    }

    fn encode_with(&self, text: &str, add_special: bool) -> Result<Encoding, TextError> {
        let encoding = guard::guarded(|| self.inner.encode_char_offsets(text, add_special));
        let encoding = encoding.map_err(TextError::Encode)?;
        Ok(Encoding {
            ids: encoding.get_ids().to_vec(),
            tokens: encoding.get_tokens().to_vec(),
            offsets: encoding.get_offsets().to_vec(),
            type_ids: encoding.get_type_ids().to_vec(),
        })
    }

    /// Decodes ids, special tokens included.
    pub fn decode(&self, ids: &[u32]) -> Result<String, TextError> {
        self.decode_with(ids, false)
    }

    /// Decodes ids, special tokens left out: what a reader should see.
    pub fn decode_without_special(&self, ids: &[u32]) -> Result<String, TextError> {
        self.decode_with(ids, true)
    }

    fn decode_with(&self, ids: &[u32], skip_special: bool) -> Result<String, TextError> {
        guard::guarded(|| self.inner.decode(ids, skip_special)).map_err(TextError::Decode)
    }

    /// The number of tokens, added ones included.
    pub fn vocabulary_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// The id of a vocabulary entry, in the tokenizer's own spelling.
    pub fn id_of(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// The vocabulary entry of an id.
    pub fn token_of(&self, id: u32) -> Result<String, TextError> {
        self.inner
            .id_to_token(id)
            .ok_or_else(|| TextError::UnknownId { id, vocabulary: self.vocabulary_size() })
    }

    /// Whether an id is a special token: one that stands for structure, not for text.
    pub fn is_special(&self, id: u32) -> bool {
        self.special.contains(&id)
    }
}

pub(crate) fn read_limited(path: &Path, limit: u64) -> Result<Vec<u8>, TextError> {
    let read = |source| TextError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(read)?;
    let found = file.metadata().map_err(read)?.len();
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(read)?;
    if bytes.len() as u64 > limit {
        return Err(TextError::TooLarge { path: path.to_owned(), found, limit });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(ids: &[u32]) -> Encoding {
        Encoding { ids: ids.to_vec(), type_ids: vec![1; ids.len()], ..Encoding::default() }
    }

    #[test]
    fn batches_are_padded_on_the_side_asked_for() {
        let rows = [row(&[5, 6, 7]), row(&[8])];
        let left = Batch::new(&rows, 9, PadSide::Left);
        assert_eq!(left.ids, [5, 6, 7, 9, 9, 8]);
        assert_eq!(left.attention_mask, [1, 1, 1, 0, 0, 1]);
        assert_eq!(left.type_ids, [1, 1, 1, 0, 0, 1]);
        let right = Batch::new(&rows, 9, PadSide::Right);
        assert_eq!(right.ids, [5, 6, 7, 8, 9, 9]);
        assert_eq!(right.attention_mask, [1, 1, 1, 1, 0, 0]);
    }

    #[test]
    fn files_above_the_limit_are_refused() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        assert!(matches!(read_limited(&path, 10), Err(TextError::TooLarge { limit: 10, .. })));
    }

    #[test]
    fn broken_json_is_an_error_with_its_origin() {
        let error = Tokenizer::from_json(b"{\"model\": 3", "x/tokenizer.json").unwrap_err();
        assert!(error.to_string().starts_with("x/tokenizer.json: not a valid tokenizer"), "{error}");
    }
}
