/// Commands that must fail: one line that says why, the exit status, and no changed files. With
/// UNROLL_PRINT_ERRORS=1 in the environment the lines are printed, as a table to read.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "host/data/grammar.h"
#include "tests/support/program.h"

namespace unroll::test {

struct BadInput {
  const char* name;
  std::string make;     // shell commands that make its input; "" if it exists
  std::string command;  // run by the shell, so that streams can be redirected
  int status;
  const char* says;
};

/// A folder with data/ (three texts), run/ (a model of them) and the files of the cases. The cache
/// is outside, in $CACHE.
class BadInputs : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new TempFolder;
    cache_ = new TempFolder;
    ::setenv("CACHE", cache_->path().c_str(), 1);
    ::setenv("SMALL", kSmall, 1);
    ::setenv("PROGRAM", UNROLL_PROGRAM, 1);
    std::filesystem::create_directory(folder_->path() / "data");
    const Grammar grammar = Grammar::english();
    folder_->write("data/train.txt", grammar.sample(1, 60));
    folder_->write("data/valid.txt", grammar.sample(2, 10));
    folder_->write("data/test.txt", grammar.sample(3, 10));
    const Output trained =
        script("unroll train --data data --save run --cache-dir $CACHE --nhid 4 $SMALL");
    ASSERT_EQ(trained.status, 0) << trained.err;
  }
  static void TearDownTestSuite() {
    delete folder_;
    delete cache_;
  }

  static Output script(const std::string& text) { return run_script(text, folder_->path()); }
  static std::filesystem::path path(const std::string& name) { return folder_->path() / name; }

  /// Every file and link below the folder, and its content. The lock file is left out.
  static std::map<std::string, std::string> snapshot() {
    std::map<std::string, std::string> content;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_->path())) {
      if (entry.path().filename() == ".lock") continue;
      std::string& held = content[entry.path().string()];
      if (entry.is_symlink())
        held = "-> " + std::filesystem::read_symlink(entry.path()).string();
      else if (entry.is_regular_file())
        held = read_text(entry.path());
    }
    return content;
  }

  /// The error line; the other lines must be the ordinary notes.
  static std::string error_line(const std::string& err) {
    std::string error;
    std::istringstream lines(err);
    for (std::string line; std::getline(lines, line);) {
      const auto begins = [&](const char* with) { return line.starts_with(with); };
      EXPECT_TRUE(error.empty()) << "after the error: " << line;
      if (begins("unroll: "))
        error = line;
      else
        EXPECT_TRUE(begins("device: ") || begins("corpus: ") || begins("model: ") || begins("  ") ||
                    begins("parameters: ") || begins("from here on: ") || begins("seed: ") ||
                    begins("settings ") || begins("hint: ") || begins("memory of a step: ") ||
                    begins("resuming ") || line.ends_with("reading it again"))
            << "neither a note nor the error: " << line;
    }
    return error;
  }

  static void check(const std::vector<BadInput>& cases) {
    for (const BadInput& bad : cases) {
      SCOPED_TRACE(std::string(bad.name) + ": " + bad.command);
      ASSERT_EQ(script(bad.make.empty() ? ":" : bad.make).status, 0);
      const auto before = snapshot();
      const Output result = script(bad.command);
      EXPECT_EQ(result.status, bad.status);
      const std::string line = error_line(result.err);
      EXPECT_TRUE(contains(line, bad.says));
      EXPECT_LT(line.size(), 500U);
      EXPECT_TRUE(snapshot() == before) << "files were changed, made or lost";
      if (std::getenv("UNROLL_PRINT_ERRORS"))  // NOLINT(concurrency-mt-unsafe): no thread sets it
        std::cout << "| " << bad.name << " | " << result.status << " | " << line << " |\n";
    }
  }

  static constexpr const char* kSmall =
      "--nlayers 1 --emsize 4 --optimizer adam --epochs 1 --batch-size 2 --bptt 5 --threads 1";

 private:
  static TempFolder *folder_, *cache_;
};
inline TempFolder* BadInputs::folder_ = nullptr;
inline TempFolder* BadInputs::cache_ = nullptr;

}  // namespace unroll::test
