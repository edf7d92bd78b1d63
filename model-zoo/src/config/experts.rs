//! How many experts a layer has, and how many of them a token takes.

use super::Reader;

/// The most experts of all layers: a checkpoint has three matrices for each, and no published model has half as many.
const MOST_EXPERTS: usize = 1 << 16;

/// Reads the number of experts of each of `layers` layers, under the first of `keys` that is there, and
/// `num_experts_per_tok`. `defaults` are those of the configuration class.
pub(crate) fn read_experts(
    r: &mut Reader<'_>,
    keys: &[&'static str],
    layers: usize,
    defaults: [usize; 2],
) -> [usize; 2] {
    let found = keys.iter().find_map(|&key| Some((key, r.optional_size(key)?)));
    let (key, mut count) = found.unwrap_or(("num_experts", defaults[0]));
    let most = (MOST_EXPERTS / layers.max(1)).max(1);
    if count > most {
        r.unsupported(key, count, format!("at most {MOST_EXPERTS} in {layers} layers are supported"));
        count = most;
    }
    let chosen = r.size_or("num_experts_per_tok", defaults[1]);
    if chosen > count {
        r.unsupported("num_experts_per_tok", chosen, format!("there are {count} experts"));
    }
    [count, chosen.min(count)]
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(config: &Value) -> ([usize; 2], Vec<String>) {
        let mut reader = Reader::new(config.as_object().unwrap());
        let found = read_experts(&mut reader, &["num_experts", "num_local_experts"], 48, [128, 8]);
        (found, reader.finish(&[]).iter().map(ToString::to_string).collect())
    }

    #[test]
    fn both_spellings_and_the_default() {
        assert_eq!(read(&json!({"num_experts": 64, "num_experts_per_tok": 4})), ([64, 4], vec![]));
        assert_eq!(read(&json!({"num_local_experts": 16})), ([16, 8], vec![]));
        assert_eq!(read(&json!({})), ([128, 8], vec![]));
    }

    #[test]
    fn more_than_there_are_is_refused() {
        let (found, problems) = read(&json!({"num_experts": 1_000_000, "num_experts_per_tok": 9}));
        assert_eq!(found, [1365, 9]);
        assert_eq!(problems, ["num_experts: found 1000000; at most 65536 in 48 layers are supported"]);
        let (_, problems) = read(&json!({"num_experts": 4}));
        assert_eq!(problems, ["num_experts_per_tok: found 8; there are 4 experts"]);
    }
}
