//! Config keys that are known not to change inference.

/// Keys that transformers and the tools around it write into config.json and that change no number
/// of a forward pass in evaluation mode. A key that is harmless at one value only does not belong
/// here: an architecture reads it and checks it.
///
/// Source: `PreTrainedConfig` of transformers 4.8 to 5.23 and the configs of the models tested.
pub(crate) const INERT: &[&str] = &[
    // What the file is and who wrote it.
    "_name_or_path",
    "architectures",
    "model_type",
    "name_or_path",
    "tokenizer_class",
    "transformers_version",
    "transformers.js_config",
    "unsloth_fixed",
    "unsloth_version",
    "is_llama_config",
    // How the checkpoint was stored; the weights' own dtype is read from the checkpoint.
    "dtype",
    "torch_dtype",
    // Training.
    "attention_dropout",
    "attention_probs_dropout_prob",
    "classifier_dropout",
    "gradient_checkpointing",
    "hidden_dropout_prob",
    "initializer_range",
    "problem_type",
    "finetuning_task",
    "task_specific_params",
    // Slices the matrix products of training; the sums are the same.
    "pretraining_tp",
    // What transformers returns and how it is run.
    "_attn_implementation",
    "_attn_implementation_autoset",
    "_flash_attn_2_enabled",
    "chunk_size_feed_forward",
    "output_attentions",
    "output_hidden_states",
    "return_dict",
    "torchscript",
    "use_cache",
    // Token ids and generation defaults, which the tokenizer and generation_config.json hold too.
    "bos_token_id",
    "cls_token_id",
    "eos_token_id",
    "pad_token_id",
    "sep_token_id",
    "decoder_start_token_id",
    "do_sample",
    "early_stopping",
    "length_penalty",
    "max_length",
    "min_length",
    "num_beams",
    "num_return_sequences",
    "repetition_penalty",
    "temperature",
    "top_k",
    "top_p",
];
