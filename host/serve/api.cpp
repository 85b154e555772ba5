#include "host/serve/api.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <exception>
#include <utility>

#include "host/base/utf8.h"
#include "host/serve/embedded.h"
#include "host/serve/text_parts.h"

namespace unroll::serve {
namespace {

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = char(std::tolower(static_cast<unsigned char>(c)));
  return result;
}

/// "application/json", perhaps with parameters.
bool is_json(std::string_view type) {
  type = type.substr(0, type.find(';'));
  while (type.ends_with(' ') || type.ends_with('\t')) type.remove_suffix(1);
  return lower(type) == "application/json";
}

}  // namespace

bool is_local_host(std::string_view field) {
  const bool bracketed = field.starts_with('[');
  const std::size_t end = bracketed ? field.find(']') : field.rfind(':');
  const std::string name = lower(field.substr(0, bracketed && end != field.npos ? end + 1 : end));
  const bool of_loopback = name.starts_with("127.") && std::ranges::count(name, '.') == 3 &&
                           name.find_first_not_of("0123456789.") == name.npos;
  return name == "localhost" || name == "[::1]" || of_loopback;
}

bool equal_in_constant_time(std::string_view a, std::string_view b) {
  volatile unsigned char difference = a.size() == b.size() ? 0 : 1;
  for (std::size_t k = 0; k < a.size(); ++k)
    difference =
        static_cast<unsigned char>(difference | (a[k] ^ (b.empty() ? '\1' : b[k % b.size()])));
  return difference == 0;
}

/// What a path answers: the text of a GET, or a question with a body in a POST.
struct Api::Route {
  std::string_view path;
  HttpAnswer (Api::*get)(const HttpRequest&) const;
  void (Api::*post)(const HttpRequest&, TextContext);

  const char* allowed() const { return get ? "GET, HEAD" : "POST"; }
  bool allows(std::string_view method) const {
    return get ? method == "GET" || method == "HEAD" : method == "POST";
  }
};

const std::vector<Api::Route>& Api::routes() {
  static const std::vector<Route> list{{"/", &Api::page, nullptr},
                                       {"/healthz", &Api::health, nullptr},
                                       {"/openapi.json", &Api::description, nullptr},
                                       {"/v1/predict", nullptr, &Api::predict},
                                       {"/v1/score", nullptr, &Api::score},
                                       {"/v1/generate", nullptr, &Api::generate}};
  return list;
}

Api::Api(const LoadedModel& model, const Options& options)
    : task_(task_of<LanguageModelTask>(model)),
      options_(options),
      under_way_(std::make_shared<std::atomic<std::int64_t>>(0)),
      thread_(model, options.limits.rows) {}

void Api::handle(const HttpRequest& request, const std::shared_ptr<HttpReply>& reply, bool local) {
  try {
    allow_origin(request, *reply);
    if (local && !is_local_host(request.host))
      throw RequestError(403, fmt::format("Host: got {}, expected localhost or a loopback address",
                                          in_quotes(request.host)));
    const auto route = std::ranges::find(routes(), request.path, &Route::path);
    if (route == routes().end())
      throw RequestError(404, fmt::format("there is no path {}", in_quotes(request.path)));
    if (request.method == "OPTIONS" && !options_.allow_origin.empty()) {
      reply->add_field("Access-Control-Allow-Methods", route->allowed());
      reply->add_field("Access-Control-Allow-Headers", "authorization, content-type");
      return reply->answer({.status = 204});
    }
    if (!route->allows(request.method)) {
      HttpAnswer answer =
          error_answer(405, fmt::format("got {} of {}, expected {}", in_quotes(request.method),
                                        request.path, route->allowed()));
      answer.fields = {{"Allow", route->allowed()}};
      return reply->answer(std::move(answer));
    }
    if (route->get) return reply->answer((this->*route->get)(request));
    ask(*route, request, reply);
  } catch (const RequestError& error) {
    HttpAnswer answer = error_answer(error.status, error.what());
    if (error.status == 401) answer.fields = {{"WWW-Authenticate", "Bearer"}};
    if (error.status == 503) answer.fields = {{"Retry-After", "1"}};
    reply->answer(std::move(answer));
  } catch (const std::exception& error) {
    reply->answer(error_answer(500, error.what()));
  }
}

/// Browsers then let pages of that origin see the answer.
void Api::allow_origin(const HttpRequest& request, HttpReply& reply) const {
  const std::string& allowed = options_.allow_origin;
  if (allowed.empty()) return;
  if (allowed != "*") reply.add_field("Vary", "Origin");
  if (allowed == "*" || request.origin == allowed)
    reply.add_field("Access-Control-Allow-Origin", allowed);
}

void Api::ask(const Route& route, const HttpRequest& request,
              const std::shared_ptr<HttpReply>& reply) {
  if (const std::string& token = options_.token; !token.empty()) {
    const std::string_view given = request.authorization;
    if (lower(given.substr(0, 7)) != "bearer " || !equal_in_constant_time(given.substr(7), token))
      throw RequestError(401, "Authorization: expected Bearer and the token of this server");
  }
  if (!request.has_length)
    throw RequestError(411, "Content-Length: got none, expected the length of the body");
  if (!is_json(request.content_type))
    throw RequestError(415, fmt::format("Content-Type: got {}, expected application/json",
                                        in_quotes(request.content_type)));
  (this->*route.post)(request, {task_.tokenizer(), reply, admit()});
}

/// Counts a request until its ticket is gone.
Ticket Api::admit() {
  const std::int64_t most = options_.limits.rows + options_.limits.queue;
  const Ticket ticket(under_way_.get(), [counter = under_way_](void*) { --*counter; });
  if (++*under_way_ > most)
    throw RequestError(503, fmt::format("{} requests are under way already, try again", most));
  return ticket;
}

HttpAnswer Api::page(const HttpRequest&) const {
  // What it may do is in the page itself; only this cannot be said there.
  return {.body = std::string(kPage),
          .type = "text/html; charset=utf-8",
          .fields = {{"Content-Security-Policy", "frame-ancestors 'none'"},
                     {"Referrer-Policy", "no-referrer"}}};
}

HttpAnswer Api::description(const HttpRequest&) const {
  return {.body = std::string(kDescription)};
}

HttpAnswer Api::health(const HttpRequest&) const {
  return {.body = to_text({{"status", "ok"},
                           {"model", task_.describe()},
                           {"tokenizer", to_string(task_.tokenizer().kind())},
                           {"tokens", task_.tokenizer().size()},
                           {"active", thread_.reading()},
                           {"queued", thread_.waiting()}})};
}

void Api::predict(const HttpRequest& request, TextContext context) {
  const PredictRequest asked = read_predict(request.body, options_.limits);
  thread_.add({predict_text(std::move(context), asked, options_.limits)});
}

void Api::score(const HttpRequest& request, TextContext context) {
  const ScoreRequest asked = read_score(request.body, options_.limits);
  thread_.add(score_texts(std::move(context), asked, options_.limits));
}

void Api::generate(const HttpRequest& request, TextContext context) {
  const GenerateRequest asked = read_generate(request.body, options_.limits);
  thread_.add({generate_text(std::move(context), asked, options_.limits, sampler_)});
}

}  // namespace unroll::serve
