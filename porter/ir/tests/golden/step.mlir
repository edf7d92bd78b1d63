module @decode {
  func.func public @main(
    %0: tensor<1xi32> loc("ids"),
    %1: tensor<i32> loc("position"),
    %2: tensor<8x4xbf16> loc("model.embed_tokens.weight"),
    %5: tensor<4xf32> loc("model.layers.0.input_layernorm.weight"),
    %25: tensor<16x4xf32> {tf.aliasing_output = 1 : i32} loc("layers.0.keys")) -> (tensor<1x16xf32>, tensor<16x4xf32>) {
    %3 = "stablehlo.gather"(%2, %0) <{dimension_numbers = #stablehlo.gather<offset_dims = [1], collapsed_slice_dims = [0], operand_batching_dims = [], start_indices_batching_dims = [], start_index_map = [0], index_vector_dim = 1>, slice_sizes = array<i64: 1, 4>}> : (tensor<8x4xbf16>, tensor<1xi32>) -> tensor<1x4xbf16> loc("model.embed_tokens")
    %4 = "stablehlo.convert"(%3) : (tensor<1x4xbf16>) -> tensor<1x4xf32>
    %8 = "stablehlo.multiply"(%4, %4) : (tensor<1x4xf32>, tensor<1x4xf32>) -> tensor<1x4xf32> loc("model.layers.0.input_layernorm")
    %9 = "stablehlo.constant"() <{value = dense<0.0> : tensor<f32>}> : () -> tensor<f32> loc("model.layers.0.input_layernorm")
    %13 = "stablehlo.reduce"(%8, %9) <{dimensions = array<i64: 1>}> ({
    ^bb0(%10: tensor<f32>, %11: tensor<f32>):
      %12 = "stablehlo.add"(%10, %11) : (tensor<f32>, tensor<f32>) -> tensor<f32> loc("model.layers.0.input_layernorm")
      "stablehlo.return"(%12) : (tensor<f32>) -> ()
    }) : (tensor<1x4xf32>, tensor<f32>) -> tensor<1xf32> loc("model.layers.0.input_layernorm")
    %14 = "stablehlo.reshape"(%13) : (tensor<1xf32>) -> tensor<1x1xf32> loc("model.layers.0.input_layernorm")
    %15 = "stablehlo.constant"() <{value = dense<0.25> : tensor<1x1xf32>}> : () -> tensor<1x1xf32> loc("model.layers.0.input_layernorm")
    %16 = "stablehlo.multiply"(%14, %15) : (tensor<1x1xf32>, tensor<1x1xf32>) -> tensor<1x1xf32> loc("model.layers.0.input_layernorm")
    %17 = "stablehlo.constant"() <{value = dense<9.999999747378752e-6> : tensor<1x1xf32>}> : () -> tensor<1x1xf32> loc("model.layers.0.input_layernorm")
    %18 = "stablehlo.add"(%16, %17) : (tensor<1x1xf32>, tensor<1x1xf32>) -> tensor<1x1xf32> loc("model.layers.0.input_layernorm")
    %19 = "stablehlo.rsqrt"(%18) : (tensor<1x1xf32>) -> tensor<1x1xf32> loc("model.layers.0.input_layernorm")
    %20 = "stablehlo.broadcast_in_dim"(%19) <{broadcast_dimensions = array<i64: 0, 1>}> : (tensor<1x1xf32>) -> tensor<1x4xf32> loc("model.layers.0.input_layernorm")
    %21 = "stablehlo.multiply"(%4, %20) : (tensor<1x4xf32>, tensor<1x4xf32>) -> tensor<1x4xf32> loc("model.layers.0.input_layernorm")
    %22 = "stablehlo.broadcast_in_dim"(%5) <{broadcast_dimensions = array<i64: 1>}> : (tensor<4xf32>) -> tensor<1x4xf32> loc("model.layers.0.input_layernorm")
    %23 = "stablehlo.multiply"(%21, %22) : (tensor<1x4xf32>, tensor<1x4xf32>) -> tensor<1x4xf32> loc("model.layers.0.input_layernorm")
    %26 = "stablehlo.constant"() <{value = dense<0> : tensor<i32>}> : () -> tensor<i32> loc("model.layers.0.self_attn")
    %27 = "stablehlo.dynamic_update_slice"(%25, %23, %1, %26) : (tensor<16x4xf32>, tensor<1x4xf32>, tensor<i32>, tensor<i32>) -> tensor<16x4xf32> loc("model.layers.0.self_attn")
    %28 = "stablehlo.dot_general"(%23, %27) <{dot_dimension_numbers = #stablehlo.dot<lhs_batching_dimensions = [], rhs_batching_dimensions = [], lhs_contracting_dimensions = [1], rhs_contracting_dimensions = [1]>, precision_config = [#stablehlo<precision HIGHEST>, #stablehlo<precision HIGHEST>]}> : (tensor<1x4xf32>, tensor<16x4xf32>) -> tensor<1x16xf32> loc("model.layers.0.self_attn")
    "func.return"(%28, %27) : (tensor<1x16xf32>, tensor<16x4xf32>) -> ()
  }
}
