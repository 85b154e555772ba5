/// The paths of the server: which request is which question.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "host/models/language_model.h"
#include "host/serve/model_thread.h"
#include "host/serve/serve.h"
#include "host/serve/texts.h"

namespace unroll::serve {

class Api {
 public:
  /// The model must outlive it. Errors: those of ModelThread.
  Api(const LoadedModel& model, const Options& options);

  /// `local`: requests must be addressed to this machine, see is_local_host().
  void handle(const HttpRequest& request, const std::shared_ptr<HttpReply>& reply, bool local);
  /// A reply is no longer full, or gone.
  void wake() { thread_.wake(); }

 private:
  struct Route;
  static const std::vector<Route>& routes();
  HttpAnswer page(const HttpRequest& request) const;
  HttpAnswer description(const HttpRequest& request) const;
  HttpAnswer health(const HttpRequest& request) const;
  void predict(const HttpRequest& request, TextContext context);
  void score(const HttpRequest& request, TextContext context);
  void generate(const HttpRequest& request, TextContext context);

  void allow_origin(const HttpRequest& request, HttpReply& reply) const;
  void ask(const Route& route, const HttpRequest& request, const std::shared_ptr<HttpReply>& reply);
  Ticket admit();

  const LanguageModelTask& task_;
  Options options_;
  HostSampler sampler_;
  std::shared_ptr<std::atomic<std::int64_t>> under_way_;  // requests
  ModelThread thread_;                                    // last: its texts use the others
};

/// Whether a Host field names this machine: localhost, 127.0.0.0/8 or [::1], with a port or
/// without. A page from elsewhere, whose name has been made to mean this machine (DNS rebinding),
/// still sends its own name.
bool is_local_host(std::string_view field);

/// Takes as long whatever the texts have in common.
bool equal_in_constant_time(std::string_view a, std::string_view b);

}  // namespace unroll::serve
