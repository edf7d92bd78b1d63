//! Weights as 8-bit integers with a scale for each output channel, in compressed-tensors' `int-quantized`
//! layout, which vLLM and transformers load.

use porter_ir::{DType, Kind};
use porter_weights::{Checkpoint, Encoding, QuantisedTo, write::OutputTensor};
use serde_json::{Value, json};

/// Parts of the names of matrices that are no linear layers, or that lose most: embeddings, the head,
/// the routers of experts. compressed-tensors' recipes leave them alone too.
const LEFT_ALONE: [&str; 9] =
    ["embed", "lm_head", "norm", "wte", "wpe", "router", "mlp.gate.", "classifier", "predictions"];

/// Weights that became integers, and those that were left alone.
pub(super) struct Int8 {
    /// All tensors.
    pub(super) tensors: Vec<OutputTensor>,
    /// The modules of matrices that stay as they are.
    ignored: Vec<String>,
}

/// Replaces every linear layer's weight by its integers and its scales.
pub(super) fn quantise(tensors: Vec<OutputTensor>, checkpoint: &dyn Checkpoint) -> Int8 {
    let mut int8 = Int8 { tensors: Vec::new(), ignored: Vec::new() };
    for tensor in tensors {
        let Some(module) = tensor.name.strip_suffix(".weight").filter(|_| is_matrix(&tensor)) else {
            int8.tensors.push(tensor);
            continue;
        };
        if LEFT_ALONE.iter().any(|part| tensor.name.contains(part)) {
            int8.ignored.push(module.to_owned());
            int8.tensors.push(tensor);
            continue;
        }
        int8.add(&tensor, checkpoint);
    }
    int8
}

fn is_matrix(tensor: &OutputTensor) -> bool {
    let float = matches!(&tensor.encoding, Encoding::Plain(dtype) if dtype.kind() == Kind::Float);
    float && tensor.shape.rank() == 2
}

impl Int8 {
    fn add(&mut self, tensor: &OutputTensor, checkpoint: &dyn Checkpoint) {
        let OutputTensor { name, expr, shape, encoding } = tensor;
        // Scales are of the weight's dtype; what is rounded first is rounded before the scale is taken.
        let wanted = encoding.dtype().unwrap_or(DType::BF16);
        let stored = expr.infer(checkpoint).map_or(wanted, |ty| ty.dtype);
        let weight = if stored == wanted { expr.clone() } else { expr.clone().cast(wanted) };
        self.tensors.push(OutputTensor {
            name: name.clone(),
            expr: weight.clone().quantised_values(QuantisedTo::Int8),
            shape: shape.clone(),
            encoding: Encoding::Plain(DType::I8),
        });
        self.tensors.push(OutputTensor {
            name: format!("{name}_scale"),
            expr: weight.quantised_scales(QuantisedTo::Int8),
            shape: [shape[0], 1].into(),
            encoding: Encoding::Plain(wanted),
        });
    }

    /// `quantization_config` of the result's `config.json`.
    pub(super) fn config(&self) -> Value {
        json!({
            "quant_method": "compressed-tensors",
            "format": "int-quantized",
            "quantization_status": "compressed",
            "config_groups": {
                "group_0": {
                    "targets": ["Linear"],
                    "weights": {
                        "num_bits": 8,
                        "type": "int",
                        "symmetric": true,
                        "strategy": "channel",
                        "dynamic": false,
                    },
                    "input_activations": null,
                    "output_activations": null,
                },
            },
            "ignore": self.ignored,
        })
    }
}
