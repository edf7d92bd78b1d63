//! Operators that a program with static shapes and numbers only cannot hold, and why.

use crate::error::Fault;

const RANDOM: &str = "random numbers: every implementation draws others";
const STRINGS: &str = "strings, which programs do not hold";
const IMAGES: &str = "an image file's bytes: decode it before";

/// Why an operator of ONNX's is not lowered, where it never will be.
pub(crate) fn why(domain: &str, name: &str) -> Option<Fault> {
    let reason = match (domain, name) {
        ("" | "ai.onnx", "NonMaxSuppression" | "Unique") => {
            return Some(Fault::Dynamic("how many elements it keeps".to_owned()));
        }
        (
            "" | "ai.onnx",
            "Bernoulli" | "Multinomial" | "RandomNormal" | "RandomNormalLike" | "RandomUniform"
            | "RandomUniformLike",
        ) => RANDOM,
        ("" | "ai.onnx", "RegexFullMatch" | "StringConcat" | "StringNormalizer" | "StringSplit")
        | ("ai.onnx.ml", "CategoryMapper" | "DictVectorizer") => STRINGS,
        ("" | "ai.onnx", "ImageDecoder") => IMAGES,
        _ => return None,
    };
    Some(Fault::Unsupported(format!("{name} needs {reason}")))
}
