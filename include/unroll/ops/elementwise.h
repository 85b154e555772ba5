/// Operations on elements, one by one.
#pragma once

#include "unroll/graph.h"

namespace unroll {

// Element by element. The shapes broadcast as in NumPy.
Tensor operator+(Tensor a, Tensor b);
Tensor operator-(Tensor a, Tensor b);
Tensor operator*(Tensor a, Tensor b);
Tensor operator/(Tensor a, Tensor b);
Tensor operator-(Tensor a);
Tensor operator+(Tensor a, double b);
Tensor operator+(double a, Tensor b);
Tensor operator-(Tensor a, double b);
Tensor operator-(double a, Tensor b);
Tensor operator*(Tensor a, double b);
Tensor operator*(double a, Tensor b);
Tensor operator/(Tensor a, double b);
Tensor operator/(double a, Tensor b);

Tensor tanh(Tensor x);
Tensor logistic(Tensor x);  // 1 / (1 + e^-x)
Tensor relu(Tensor x);      // max(x, 0)
Tensor exp(Tensor x);
Tensor log(Tensor x);  // the natural logarithm
/// 1 where a == b, else 0. Its gradient is zero.
Tensor equal(Tensor a, Tensor b);

}  // namespace unroll
