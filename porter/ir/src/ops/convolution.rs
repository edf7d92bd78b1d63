//! `convolution`: a kernel slid over the spatial dimensions.

use super::{Window, check};
use crate::{
    Builder, DType, Result, TensorType, Value,
    attribute::{Attribute, i64_array, i64_number},
    op::{Operation, RegionType},
};

/// Where a tensor of a convolution holds its two other dimensions and its spatial ones, outermost
/// first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConvolutionLayout {
    /// The batch of the input and the output; the output features of the kernel.
    pub outer: usize,
    /// The features of the input and the output; the input features of the kernel.
    pub feature: usize,
    /// The spatial dimensions.
    pub spatial: Vec<usize>,
}

impl ConvolutionLayout {
    /// PyTorch's order: batch (or output features), features, space.
    pub fn channels_first(spatial: usize) -> Self {
        Self { outer: 0, feature: 1, spatial: (2..2 + spatial).collect() }
    }

    fn dims(&self) -> Vec<usize> {
        [&[self.outer, self.feature], &self.spatial[..]].concat()
    }

    /// The dimension numbers' letters: `[b, f, 0, 1]`.
    fn mlir(&self, outer: &str, feature: &str) -> String {
        let mut letters = vec![String::new(); self.spatial.len() + 2];
        let spatial = self.spatial.iter().enumerate().map(|(i, &dim)| (dim, i.to_string()));
        let others = [(self.outer, outer.to_owned()), (self.feature, feature.to_owned())];
        for (dim, letter) in spatial.chain(others) {
            if let Some(slot) = letters.get_mut(dim) {
                *slot = letter;
            }
        }
        format!("[{}]", letters.join(", "))
    }

    fn fits(&self, what: &str, ty: &TensorType) -> Result<(), String> {
        let dims = self.dims();
        check::length(&format!("dimensions of the {what} are numbered"), &dims, ty.shape.rank())?;
        check::unique_dims(&format!("{what} dimension"), ty.shape.rank(), &dims)
    }

    fn space(&self, ty: &TensorType) -> Vec<usize> {
        self.spatial.iter().map(|&dim| ty.shape[dim]).collect()
    }
}

/// A convolution (<https://openxla.org/stablehlo/spec#convolution>). Operands: the input and the kernel.
#[derive(Clone, Debug, PartialEq)]
pub struct Convolution {
    /// The input's layout.
    pub input: ConvolutionLayout,
    /// The kernel's layout.
    pub kernel: ConvolutionLayout,
    /// The output's layout.
    pub output: ConvolutionLayout,
    /// How the kernel slides over the spatial dimensions. `base_dilations` dilate the input, and
    /// `window_dilations` the kernel.
    pub window: Window,
    /// Into how many groups the features are split, each with kernels of its own.
    pub feature_groups: usize,
    /// Into how many groups the batch is split, each with kernels of its own.
    pub batch_groups: usize,
    /// Element type of the result.
    pub dtype: DType,
}

impl Convolution {
    /// One group, everything in PyTorch's order, with a plain window over `spatial` dimensions.
    pub fn plain(spatial: usize, dtype: DType) -> Self {
        let layout = ConvolutionLayout::channels_first(spatial);
        Self {
            input: layout.clone(),
            kernel: layout.clone(),
            output: layout,
            window: Window::plain(spatial),
            feature_groups: 1,
            batch_groups: 1,
            dtype,
        }
    }

    fn groups_fit(&self, input: &TensorType, kernel: &TensorType) -> Result<(), String> {
        let (features, batch) = (input.shape[self.input.feature], input.shape[self.input.outer]);
        let (taken, given) = (kernel.shape[self.kernel.feature], kernel.shape[self.kernel.outer]);
        let (feature_groups, batch_groups) = (self.feature_groups, self.batch_groups);
        if feature_groups == 0 || batch_groups == 0 || (feature_groups > 1 && batch_groups > 1) {
            return Err(format!(
                "{feature_groups} feature and {batch_groups} batch groups, expected at least 1, and one of them 1"
            ));
        }
        if taken.checked_mul(feature_groups) != Some(features) {
            return Err(format!(
                "the kernel takes {taken} features in each of {feature_groups} groups, the input has {features}"
            ));
        }
        if !given.is_multiple_of(feature_groups) || !given.is_multiple_of(batch_groups) {
            return Err(format!(
                "the kernel's {given} output features do not divide into {feature_groups} feature and {batch_groups} batch groups"
            ));
        }
        if !batch.is_multiple_of(batch_groups) {
            return Err(format!("the batch of {batch} does not divide into {batch_groups} groups"));
        }
        Ok(())
    }
}

impl Operation for Convolution {
    fn name(&self) -> &'static str {
        "stablehlo.convolution"
    }

    fn infer(&self, operands: &[&TensorType], _: &[RegionType]) -> Result<Vec<TensorType>, String> {
        let [input, kernel] = check::operands(operands)?;
        self.input.fits("input", input)?;
        self.kernel.fits("kernel", kernel)?;
        check::length("output spatial dimensions", &self.output.spatial, self.input.spatial.len())?;
        check::length("kernel spatial dimensions", &self.kernel.spatial, self.input.spatial.len())?;
        check::unique_dims("output dimension", input.shape.rank(), &self.output.dims())?;
        self.groups_fit(input, kernel)?;
        let places = self.window.places(&self.input.space(input), &self.kernel.space(kernel))?;
        let mut shape = vec![0; input.shape.rank()];
        shape[self.output.outer] = input.shape[self.input.outer] / self.batch_groups;
        shape[self.output.feature] = kernel.shape[self.kernel.outer];
        for (&dim, size) in self.output.spatial.iter().zip(places) {
            shape[dim] = size;
        }
        Ok(vec![TensorType::new(self.dtype, shape)])
    }

    fn attributes(&self) -> Vec<Attribute> {
        let numbers = format!(
            "#stablehlo.conv<{}x{}->{}>",
            self.input.mlir("b", "f"),
            self.kernel.mlir("o", "i"),
            self.output.mlir("b", "f")
        );
        vec![
            ("dimension_numbers", numbers),
            self.window.strides_attribute(),
            self.window.padding_attribute(),
            ("lhs_dilation", i64_array(&self.window.base_dilations)),
            ("rhs_dilation", i64_array(&self.window.window_dilations)),
            ("feature_group_count", i64_number(self.feature_groups)),
            ("batch_group_count", i64_number(self.batch_groups)),
        ]
    }
}

impl Builder {
    /// `input` convolved with `kernel`. See [`Convolution`].
    pub fn convolution(&self, op: Convolution, input: Value, kernel: Value) -> Result<Value> {
        self.push_one(op, &[input, kernel])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strided_padded_and_grouped() {
        let b = Builder::new("main");
        let x = b.argument("x", TensorType::new(DType::F32, [2, 6, 9, 8])).unwrap();
        let w = b.argument("w", TensorType::new(DType::F32, [12, 3, 3, 3])).unwrap();
        let mut op = Convolution::plain(2, DType::F32);
        op.feature_groups = 2;
        op.window.strides = vec![2, 1];
        op.window.padding = vec![(1, 1), (0, 0)];
        op.output = ConvolutionLayout { outer: 0, feature: 3, spatial: vec![1, 2] };
        let y = b.convolution(op.clone(), x, w).unwrap();
        assert_eq!(b.ty(y), TensorType::new(DType::F32, [2, 5, 6, 12]));
        assert_eq!(
            op.attributes()[0].1,
            "#stablehlo.conv<[b, f, 0, 1]x[o, i, 0, 1]->[b, 0, 1, f]>"
        );

        op.feature_groups = 3;
        assert_eq!(
            b.convolution(op, x, w).unwrap_err().problem,
            "the kernel takes 3 features in each of 3 groups, the input has 6"
        );
        let error = b.convolution(Convolution::plain(1, DType::F32), x, w).unwrap_err();
        assert_eq!(error.problem, "3 dimensions of the input are numbered, expected 4");
    }
}
