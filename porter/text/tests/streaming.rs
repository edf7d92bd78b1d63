//! The laws of streaming, on random ids and on text, for every decoder.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::sync::LazyLock;

use porter_text::{TextStream, Tokenizer};
use proptest::prelude::*;

static TOKENIZERS: LazyLock<Vec<(&'static str, Tokenizer)>> = LazyLock::new(common::all);

fn pieces(tokenizer: &Tokenizer, ids: &[u32]) -> Vec<String> {
    let mut stream = TextStream::new(tokenizer);
    let mut pieces: Vec<String> = ids.iter().map(|id| stream.push(*id).unwrap()).collect();
    pieces.push(stream.finish().unwrap());
    pieces
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn random_ids_stream_to_their_decoding(ids in prop::collection::vec(0_u32..1000, 0..40)) {
        for (name, tokenizer) in TOKENIZERS.iter() {
            let whole = tokenizer.decode_without_special(&ids).unwrap();
            prop_assert_eq!(pieces(tokenizer, &ids).concat(), whole, "{}", name);
        }
    }

    /// Ids below 270 are mostly single bytes and special tokens: broken and split characters everywhere.
    #[test]
    fn random_bytes_stream_to_their_decoding(ids in prop::collection::vec(0_u32..270, 0..40)) {
        for (name, tokenizer) in TOKENIZERS.iter() {
            let whole = tokenizer.decode_without_special(&ids).unwrap();
            prop_assert_eq!(pieces(tokenizer, &ids).concat(), whole, "{}", name);
        }
    }

    #[test]
    fn text_streams_to_its_decoding_without_replacement(text in "[a-z日é🙂 .\n]{0,30}") {
        for (name, tokenizer) in TOKENIZERS.iter() {
            let ids = tokenizer.encode_without_special(&text).unwrap().ids;
            let whole = tokenizer.decode_without_special(&ids).unwrap();
            let pieces = pieces(tokenizer, &ids);
            prop_assert!(pieces.iter().all(|piece| !piece.contains('\u{fffd}')), "{name}");
            prop_assert_eq!(pieces.concat(), whole, "{}", name);
        }
    }
}

#[test]
fn text_comes_as_soon_as_it_is_certain() {
    let (_, tokenizer) = &TOKENIZERS[0];
    let ids = tokenizer.encode_without_special("Hello, world").unwrap().ids;
    let streamed = pieces(tokenizer, &ids);
    assert_eq!(streamed, ["H", "e", "ll", "o", ",", " w", "or", "ld", ""]);
    let ids = tokenizer.encode_without_special("日").unwrap().ids;
    assert_eq!(ids.len(), 3);
    assert_eq!(pieces(tokenizer, &ids), ["", "", "日", ""]);
}
