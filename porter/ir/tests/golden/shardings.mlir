module @sharded {
  sdy.mesh @mesh = <["data"=2, "model"=4]>
  func.func public @main(
    %0: tensor<2x8xbf16> {sdy.sharding = #sdy.sharding<@mesh, [{"data"}, {}]>} loc("x"),
    %1: tensor<8x8xbf16> {sdy.sharding = #sdy.sharding<@mesh, [{"model"}, {}]>} loc("proj.weight")) -> (tensor<2x8xf32> {sdy.sharding = #sdy.sharding<@mesh, [{}, {"data", "model"}]>}) {
    %2 = "stablehlo.dot_general"(%0, %1) <{dot_dimension_numbers = #stablehlo.dot<lhs_batching_dimensions = [], rhs_batching_dimensions = [], lhs_contracting_dimensions = [1], rhs_contracting_dimensions = [1]>}> : (tensor<2x8xbf16>, tensor<8x8xbf16>) -> tensor<2x8xf32> loc("proj")
    %3 = "sdy.sharding_constraint"(%2) <{sharding = #sdy.sharding<@mesh, [{"data"}, {"model"}]>}> : (tensor<2x8xf32>) -> tensor<2x8xf32>
    "func.return"(%3) : (tensor<2x8xf32>) -> ()
  }
}
