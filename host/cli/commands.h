/// One function per command: each adds its flags to the program's and, if the command is the one
/// given, sets `run` to what it does.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

namespace unroll::cli {

void add_train(CLI::App& app, std::function<void()>& run);
void add_eval(CLI::App& app, std::function<void()>& run);
void add_predict(CLI::App& app, std::function<void()>& run);
void add_generate(CLI::App& app, std::function<void()>& run);
void add_import(CLI::App& app, std::function<void()>& run);
void add_report(CLI::App& app, std::function<void()>& run);
void add_bench(CLI::App& app, std::function<void()>& run);
void add_doctor(CLI::App& app, std::function<void()>& run);

}  // namespace unroll::cli
