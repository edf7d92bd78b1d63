module @"control flow" {
  func.func public @main(
    %0: tensor<i32> loc("n"),
    %1: tensor<2xf32> loc("x")) -> (tensor<2xf32>) {
    %2 = "stablehlo.constant"() <{value = dense<0> : tensor<i32>}> : () -> tensor<i32>
    %11, %12 = "stablehlo.while"(%2, %1) ({
    ^bb0(%3: tensor<i32>, %4: tensor<2xf32>):
      %5 = "stablehlo.compare"(%3, %0) <{comparison_direction = #stablehlo<comparison_direction LT>}> : (tensor<i32>, tensor<i32>) -> tensor<i1> loc("it's a \"loop\"")
      "stablehlo.return"(%5) : (tensor<i1>) -> ()
    }, {
    ^bb0(%6: tensor<i32>, %7: tensor<2xf32>):
      %8 = "stablehlo.constant"() <{value = dense<1> : tensor<i32>}> : () -> tensor<i32> loc("it's a \"loop\"")
      %9 = "stablehlo.add"(%6, %8) : (tensor<i32>, tensor<i32>) -> tensor<i32> loc("it's a \"loop\"")
      %10 = "stablehlo.add"(%7, %1) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32> loc("it's a \"loop\"")
      "stablehlo.return"(%9, %10) : (tensor<i32>, tensor<2xf32>) -> ()
    }) : (tensor<i32>, tensor<2xf32>) -> (tensor<i32>, tensor<2xf32>) loc("it's a \"loop\"")
    %13 = "stablehlo.constant"() <{value = dense<0> : tensor<i32>}> : () -> tensor<i32>
    %14 = "stablehlo.compare"(%0, %13) <{comparison_direction = #stablehlo<comparison_direction GT>}> : (tensor<i32>, tensor<i32>) -> tensor<i1>
    %16 = "stablehlo.if"(%14) ({
    ^bb0():
      "stablehlo.return"(%12) : (tensor<2xf32>) -> ()
    }, {
    ^bb0():
      %15 = "stablehlo.constant"() <{value = dense<0x7F800000> : tensor<2xf32>}> : () -> tensor<2xf32>
      "stablehlo.return"(%15) : (tensor<2xf32>) -> ()
    }) : (tensor<i1>) -> tensor<2xf32>
    "func.return"(%16) : (tensor<2xf32>) -> ()
  }
}
