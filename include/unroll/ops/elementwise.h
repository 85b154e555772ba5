/// Operations on elements, one by one. The shapes of several operands broadcast as in NumPy.
///
/// Functions take float32. Arithmetic, comparisons and the like also take other element types, as
/// each says; operands have one type, and cast() makes it. Gradients flow through float32 and
/// float64. Integers wrap where they overflow. NaN goes through, unless a function says otherwise.
#pragma once

#include "unroll/graph.h"

namespace unroll {

// float32, float64, int32 and int64. A number beside a tensor takes the tensor's type; for an
// integer type it must be whole, at most 2^53.
Tensor operator+(Tensor a, Tensor b);
Tensor operator-(Tensor a, Tensor b);
Tensor operator*(Tensor a, Tensor b);
Tensor operator-(Tensor a);
Tensor operator+(Tensor a, double b);
Tensor operator+(double a, Tensor b);
Tensor operator-(Tensor a, double b);
Tensor operator-(double a, Tensor b);
Tensor operator*(Tensor a, double b);
Tensor operator*(double a, Tensor b);

// float32 and float64.
Tensor operator/(Tensor a, Tensor b);
Tensor operator/(Tensor a, double b);
Tensor operator/(double a, Tensor b);

// float32, float64, int32 and int64.
Tensor abs(Tensor x);  // its gradient at 0 is 0
/// NaN where either is. Where a and b are equal, each gets half of the gradient.
Tensor maximum(Tensor a, Tensor b);
Tensor minimum(Tensor a, Tensor b);
Tensor maximum(Tensor a, double b);
Tensor minimum(Tensor a, double b);
/// x, but at least `low` and at most `high`. The gradient is that of x from `low` to `high`, both
/// included, and 0 elsewhere.
/// Errors    std::invalid_argument unless low <= high.
Tensor clip(Tensor x, double low, double high);

Tensor tanh(Tensor x);
Tensor logistic(Tensor x);                         // 1 / (1 + e^-x)
Tensor relu(Tensor x);                             // max(x, 0)
Tensor leaky_relu(Tensor x, double slope = 0.01);  // x where x > 0, else slope x
/// x P(X < x) for a standard normal X: the exact form, with the error function.
/// Source    Hendrycks & Gimpel 2016.
Tensor gelu(Tensor x);
/// ln(1 + e^x), without overflow.
Tensor softplus(Tensor x);
Tensor exp(Tensor x);
/// The natural logarithm. log(softmax(z)) is computed as log_softmax(z): y * log(softmax(z)) and
/// its gradient are finite where a probability underflows to 0, also for y = 0.
Tensor log(Tensor x);
Tensor sqrt(Tensor x);
Tensor sin(Tensor x);
Tensor cos(Tensor x);
/// base^exponent, NaN for a negative base and an exponent that is not whole. For exponent 0 it is 1
/// and the base has no gradient, also where it is 0. The exponent has no gradient where the base
/// is 0, unless the exponent is negative: there it is -infinity.
Tensor pow(Tensor base, Tensor exponent);
Tensor pow(Tensor base, double exponent);

// float32, float64, int32 and int64 -> bool. False where an operand is NaN, but not_equal is true.
Tensor equal(Tensor a, Tensor b);
Tensor not_equal(Tensor a, Tensor b);
Tensor greater(Tensor a, Tensor b);
Tensor greater_equal(Tensor a, Tensor b);
Tensor less(Tensor a, Tensor b);
Tensor less_equal(Tensor a, Tensor b);
Tensor equal(Tensor a, double b);
Tensor not_equal(Tensor a, double b);
Tensor greater(Tensor a, double b);
Tensor greater_equal(Tensor a, double b);
Tensor less(Tensor a, double b);
Tensor less_equal(Tensor a, double b);

// bool -> bool.
Tensor logical_and(Tensor a, Tensor b);
Tensor logical_or(Tensor a, Tensor b);
Tensor logical_xor(Tensor a, Tensor b);
Tensor logical_not(Tensor a);

/// a where the condition is true, else b. What is not chosen does not count, not even a NaN, and
/// its gradient is 0.
/// Shapes    condition bool; a and b of one element type, any. All three broadcast.
Tensor where(Tensor condition, Tensor a, Tensor b);

/// x with another element type, any to any. To bool: whether x is not 0. Real numbers to integers:
/// towards 0; the nearest there is if out of range; 0 for NaN. int64 to int32: the low 32 bits.
/// Between float32 and float64 the gradient flows.
Tensor cast(Tensor x, DType dtype);

}  // namespace unroll
