#include "host/serve/http_head.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <ctime>

namespace unroll::serve {
namespace {

const char* reason(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 204:
      return "No Content";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 411:
      return "Length Required";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 422:
      return "Unprocessable Content";
    case 431:
      return "Request Header Fields Too Large";
    case 503:
      return "Service Unavailable";
    default:
      return "Internal Server Error";
  }
}

}  // namespace

std::string to_text(const HttpHead& head, const HttpFields& fields) {
  std::string text = fmt::format("HTTP/1.1 {} {}\r\nDate: {:%a, %d %b %Y %H:%M:%S} GMT\r\n",
                                 head.status, reason(head.status), fmt::gmtime(std::time(nullptr)));
  if (head.status != 204) text += fmt::format("Content-Type: {}\r\n", head.type);
  if (head.length && head.status != 204)
    text += fmt::format("Content-Length: {}\r\n", *head.length);
  if (!head.length && head.minor == 1) text += "Transfer-Encoding: chunked\r\n";
  if (!head.keep_alive)
    text += "Connection: close\r\n";
  else if (head.minor == 0)
    text += "Connection: keep-alive\r\n";
  text += "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n";
  for (const auto& [name, value] : fields) text += fmt::format("{}: {}\r\n", name, value);
  return text + "\r\n";
}

std::string chunk_of(const std::string& piece) {
  return piece.empty() ? "" : fmt::format("{:x}\r\n{}\r\n", piece.size(), piece);
}

}  // namespace unroll::serve
