/// Recurrent cases on backends, some of which do not support every case.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/backends.h"
#include "tests/support/recurrent_case.h"
#include "unroll/backend.h"

namespace unroll::test {

/// Returns the cases that the backend supports. It also checks that the backend refuses the others,
/// and how; a case with lengths is then used without them.
class OnRecurrentCases : public OnEachBackend {
 protected:
  bool is_cudnn() const { return backend_->recurrent_algorithm().cudnn() != nullptr; }

  bool is_persistent() const { return backend_->recurrent_algorithm().is_persistent(); }

  /// Adds cases for algorithms with one kernel for all timesteps: several tiles of sequences per
  /// block; weights that leave so little shared memory that the exchanged matrix arrives in small
  /// pieces; and so many weights that one direction waits for the other. All of it at least on a
  /// device as small as the emulated one.
  std::vector<RecurrentCase> with_divided(std::vector<RecurrentCase> shapes) const {
    if (is_persistent()) {
      shapes.push_back(recurrent_shape({40}, 2, 3, 150, 3, true));
      shapes.push_back(recurrent_shape({290}, 1, 2, 20, 3, false));
      shapes.push_back(recurrent_shape({340}, 2, 2, 2, 3, true));
    }
    return shapes;
  }

  std::vector<RecurrentCase> taken(const std::vector<RecurrentCase>& cases) {
    std::vector<RecurrentCase> list;
    for (RecurrentCase c : cases) {
      SCOPED_TRACE(describe(c));
      const std::string why = why_not(backend_->recurrent_algorithm(), c.spec, backend_->kind());
      if (!why.empty()) {
        expect_refusal(c, why);
        continue;
      }
      if (is_cudnn() && c.lengths) {
        expect_refusal(c, "got lengths");
        c.lengths = false;
      }
      list.push_back(c);
    }
    return list;
  }

 private:
  void expect_refusal(const RecurrentCase& c, const std::string& why) {
    try {
      backend_->recurrent_plan({.spec = c.spec,
                                .steps = c.steps,
                                .batch = c.batch,
                                .input = c.input,
                                .has_lengths = c.lengths,
                                .training = true});
      ADD_FAILURE() << "was planned, expected: " << why;
    } catch (const Unsupported& refusal) {
      const std::string text = refusal.what();
      const std::string name = to_string(backend_->recurrent_algorithm());
      EXPECT_TRUE(text.starts_with("RNN algorithm " + name + ": ")) << text;
      EXPECT_NE(text.find(why), text.npos) << text;
      EXPECT_NE(text.find("; use the algorithm stepwise"), text.npos) << text;
      EXPECT_EQ(text.find('\n'), text.npos) << text;
    }
  }
};

}  // namespace unroll::test
