//! Which of a repository's or a bucket's files make the model.

use std::path::Path;

use crate::error::ImportError;
use crate::folder;

/// Files that a model is read from besides its weights.
const BESIDE: [&str; 5] = [
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
];

/// The weights of a model among the files of a repository, all named from its top.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Choice<'a> {
    /// What is opened: a file or an index.
    pub(crate) weights: &'a str,
    /// What is read besides, and the other parts of a split GGUF file.
    pub(crate) others: Vec<&'a str>,
}

/// Who asks for what, for errors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// The repository or prefix, as the user names it.
    pub(crate) place: &'a str,
    /// What stands between the place and a path in it.
    pub(crate) separator: &'a str,
    /// The file or folder named, if one was.
    pub(crate) path: Option<&'a str>,
}

/// Chooses as transformers does: `model.safetensors`, its index, `pytorch_model.bin`, its index. Where none of them is
/// there, the only other safetensors or GGUF file, and then the only other PyTorch file. A folder named by the user is
/// looked through like the top one; a file that is named is taken.
pub(crate) fn choose<'a>(names: &[&'a str], asked: Asked<'_>) -> Result<Choice<'a>, ImportError> {
    let folder = match asked.path {
        None => String::new(),
        Some(path) => {
            if let Some(file) = names.iter().find(|name| **name == path) {
                if !folder::is_readable(Path::new(file)) {
                    return Err(folder::not_readable(Path::new(file)));
                }
                return Ok(with_others(file, names));
            }
            format!("{}/", path.trim_end_matches('/'))
        }
    };
    let inside: Vec<&'a str> = names
        .iter()
        .copied()
        .filter(|name| base(name, &folder).is_some_and(|name| !name.contains('/')))
        .collect();
    if inside.is_empty() && asked.path.is_some() {
        return Err(ImportError::NotFound {
            place: asked.place.to_owned(),
            name: folder.trim_end_matches('/').to_owned(),
            reason: format!("it holds {}", some(names)),
        });
    }
    let named = |standard: &&str| inside.iter().copied().find(|name| base(name, &folder) == Some(standard));
    if let Some(standard) = folder::STANDARD.iter().find_map(named) {
        return Ok(with_others(standard, names));
    }
    match other_models(&inside).as_slice() {
        [one] => Ok(with_others(one, names)),
        [] => Err(ImportError::NoModel { place: asked.place.to_owned(), found: some(names) }),
        several => {
            let name = |file: &&str| format!("{}{}{file}", asked.place, asked.separator);
            Err(ImportError::Ambiguous {
                place: asked.place.to_owned(),
                candidates: several.iter().map(name).collect(),
            })
        }
    }
}

/// Models by other names than the standard ones.
fn other_models<'a>(names: &[&'a str]) -> Vec<&'a str> {
    let of_kind = |ending: &'static str| names.iter().copied().filter(move |name| name.ends_with(ending));
    let indices: Vec<&str> = of_kind(".safetensors.index.json").collect();
    let first = |name: &&str| part_of_split(name).is_none_or(|(_, part, _)| part == 1);
    let gguf = of_kind(".gguf").filter(first);
    let safetensors = if indices.is_empty() { of_kind(".safetensors").collect() } else { indices };
    let found: Vec<&str> = safetensors.into_iter().chain(gguf).collect();
    if !found.is_empty() {
        return found;
    }
    names.iter().copied().filter(|name| folder::is_pytorch_weights(Path::new(name))).collect()
}

/// A GGUF file holds its own configuration; with it come the other parts, if it is split.
fn with_others<'a>(weights: &'a str, names: &[&'a str]) -> Choice<'a> {
    let others = if folder::is_gguf(Path::new(weights)) {
        let split = part_of_split(weights);
        let same = |name: &&str| {
            let both = split.zip(part_of_split(name));
            both.is_some_and(|((stem, _, count), (other, _, total))| stem == other && count == total)
        };
        names.iter().copied().filter(|name| *name != weights && same(name)).collect()
    } else {
        let folder = weights.rsplit_once('/').map_or("", |(folder, _)| folder);
        let folder = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let beside = |name: &&str| base(name, &folder).is_some_and(|name| BESIDE.contains(&name));
        names.iter().copied().filter(beside).collect()
    };
    Choice { weights, others }
}

/// `STEM-00001-of-00003.gguf` as its stem, part and count: the names of llama.cpp's `gguf-split`.
fn part_of_split(name: &str) -> Option<(&str, u32, u32)> {
    let (rest, count) = name.strip_suffix(".gguf")?.rsplit_once("-of-")?;
    let (stem, part) = rest.rsplit_once('-')?;
    let number = |digits: &str| (digits.len() == 5).then(|| digits.parse().ok()).flatten();
    Some((stem, number(part)?, number(count)?))
}

/// The name below a folder, which ends in `/` or is the top.
fn base<'a>(name: &'a str, folder: &str) -> Option<&'a str> {
    name.strip_prefix(folder)
}

fn some(names: &[&str]) -> String {
    const SHOWN: usize = 40;
    match names.len() {
        0 => "no files".to_owned(),
        count if count > SHOWN => {
            let shown: Vec<&str> = names.iter().take(SHOWN).copied().collect();
            format!("{} and {} more", shown.join(", "), count - SHOWN)
        }
        _ => names.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    const PLACE: &str = "hf:org/m";

    fn chosen<'a>(names: &[&'a str], path: Option<&str>) -> Result<&'a str, String> {
        choose(names, Asked { place: PLACE, separator: "//", path })
            .map(|choice| choice.weights)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_order_is_that_of_transformers() {
        let mut names = vec![
            "x.gguf",
            "pytorch_model.bin.index.json",
            "pytorch_model.bin",
            "model.safetensors.index.json",
            "model.safetensors",
            "other.safetensors",
        ];
        for expected in [
            "model.safetensors",
            "model.safetensors.index.json",
            "pytorch_model.bin",
            "pytorch_model.bin.index.json",
        ] {
            assert_eq!(chosen(&names, None).unwrap(), expected);
            names.retain(|name| *name != expected);
        }
        assert!(chosen(&names, None).unwrap_err().contains("hf:org/m//other.safetensors, hf:org/m//x.gguf"));
        assert_eq!(chosen(&["x.gguf", "a/y.gguf", "training_args.bin"], None).unwrap(), "x.gguf");
        assert_eq!(chosen(&["net.pth", "training_args.bin"], None).unwrap(), "net.pth");
    }

    #[test]
    fn a_named_file_or_folder_is_taken() {
        let names = ["model.safetensors", "q/a.gguf", "q/b.gguf", "fp16/model.safetensors", "x.txt"];
        assert_eq!(chosen(&names, Some("q/b.gguf")).unwrap(), "q/b.gguf");
        assert_eq!(chosen(&names, Some("fp16")).unwrap(), "fp16/model.safetensors");
        assert!(chosen(&names, Some("q")).unwrap_err().contains("hf:org/m//q/a.gguf, hf:org/m//q/b.gguf"));
        assert!(chosen(&names, Some("none.gguf")).unwrap_err().contains("has no none.gguf"));
        assert!(chosen(&names, Some("x.txt")).is_err());
        let none = choose(&["README.md"], Asked { place: PLACE, separator: "//", path: None }).unwrap_err();
        assert_eq!(none.kind(), ErrorKind::Unsupported);
    }

    #[test]
    fn only_what_is_needed_comes_with_the_weights() {
        let names = [
            "config.json",
            "tokenizer.json",
            "README.md",
            "model.safetensors",
            "b/config.json",
            "b/model.safetensors",
            "m-00001-of-00002.gguf",
            "m-00002-of-00002.gguf",
            "n-00002-of-00002.gguf",
        ];
        let with = |path| choose(&names, Asked { place: PLACE, separator: "//", path }).unwrap();
        assert_eq!(with(None).others, ["config.json", "tokenizer.json"]);
        assert_eq!(with(Some("b")).others, ["b/config.json"]);
        assert_eq!(with(Some("m-00001-of-00002.gguf")).others, ["m-00002-of-00002.gguf"]);
        let split = ["m-00001-of-00002.gguf", "m-00002-of-00002.gguf"];
        assert_eq!(chosen(&split, None).unwrap(), split[0]);
    }
}
