//! `TfIdfVectorizer`: counts of n-grams of integers.
//!
//! <https://onnx.ai/onnx/operators/onnx__TfIdfVectorizer.html>
//! Versions: 9.
//! Limits: strings.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let x = cx.x(0)?;
    let ints = |name: &'static str| cx.ints(name).unwrap_or_default();
    let Some(pool) = cx.ints("pool_int64s").filter(|p| !p.is_empty()) else { return unsupported("n-grams of strings") };
    let (counts, places, mode) = (ints("ngram_counts"), ints("ngram_indexes"), cx.string("mode", "TF"));
    let (least, most) = (cx.int("min_gram_length", 1), cx.int("max_gram_length", 1));
    let skips = cx.int("max_skip_count", 0);
    let weights = cx.floats("weights");
    let shape = cx.dims(x);
    let x = if shape.len() == 1 { cx.reshaped(x, [1, shape.at(0)?])? } else { x };
    let &[batch, length] = &cx.dims(x)[..] else { return invalid("the input has one or two dimensions") };
    let x = cx.cast(x, DType::I64)?;
    let width = places.iter().copied().max().unwrap_or(-1).saturating_add(1);
    let mut columns: Vec<Option<Value>> = vec![None; listed(&[usize::try_from(width).unwrap_or(0)])?];
    let mut gram = 0;
    for (i, &start) in counts.iter().enumerate() {
        let n = i + 1;
        let end = counts.get(i + 1).copied().unwrap_or(pool.len() as i64);
        let Some(part) = pool.get(usize::try_from(start).unwrap_or(0)..usize::try_from(end).unwrap_or(0)) else {
            return invalid("ngram_counts do not fit the pool");
        };
        for words in part.chunks(n) {
            let place = places.get(gram).copied().unwrap_or(-1);
            let weight = weights.as_ref().and_then(|w| w.get(gram).copied()).unwrap_or(1.0);
            gram += 1;
            let Some(column) = usize::try_from(place).ok().and_then(|p| columns.get_mut(p)) else { continue };
            if (n as i64) < least || n as i64 > most {
                continue;
            }
            let count = occurrences(cx, x, words, if n == 1 { 0 } else { skips }, length)?;
            let Some(count) = count else { continue };
            let value = match &*mode {
                "TF" => count,
                "IDF" => cx.with(cx.with(count, 1.0, Builder::minimum)?, weight, Builder::multiply)?,
                "TFIDF" => cx.with(count, weight, Builder::multiply)?,
                other => return invalid(format!("mode {other:?}")),
            };
            *column = Some(value);
        }
    }
    let none = cx.full(TensorType::new(DType::F32, [batch]), 0.0)?;
    let columns: Vec<Value> = columns.into_iter().map(|c| c.unwrap_or(none)).collect();
    if columns.is_empty() {
        return invalid("no n-gram has a place");
    }
    let y = stack(cx, &columns, 1)?;
    one(if shape.len() == 1 { cx.reshaped(y, [columns.len()])? } else { y })
}

/// How often `words` follow each other in each row, with up to `skips` others between every two.
fn occurrences(cx: &Cx<'_, '_>, x: Value, words: &[i64], skips: i64, length: usize) -> Result<Option<Value>, Fault> {
    let mut total: Option<Value> = None;
    for skip in 0..=usize::try_from(skips).unwrap_or(0) {
        let reach = words.len().saturating_sub(1).saturating_mul(skip.saturating_add(1)).saturating_add(1);
        let Some(room) = length.saturating_add(1).checked_sub(reach).filter(|&room| room > 0) else { break };
        let mut all: Option<Value> = None;
        for (i, &word) in words.iter().enumerate() {
            let from = i.saturating_mul(skip.saturating_add(1));
            let part = cx.slice_dim(x, 1, from, from + room)?;
            let word = cx.spread(cx.reshaped(cx.constant_ints(&[word])?, [])?, &cx.dims(part))?;
            let same = cx.compare(part, word, Direction::Eq)?;
            all = Some(match all {
                Some(so_far) => cx.and(so_far, same)?,
                None => same,
            });
        }
        let Some(all) = all else { break };
        let count = cx.fold(cx.cast(all, DType::F32)?, &[1], Fold::Sum)?;
        total = Some(match total {
            Some(so_far) => cx.add(so_far, count)?,
            None => count,
        });
    }
    Ok(total)
}
