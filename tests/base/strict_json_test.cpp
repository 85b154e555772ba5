#include "host/base/strict_json.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/support/temp_folder.h"

namespace unroll::test {
namespace {

using nlohmann::json;

std::string parse_error(std::string_view text) {
  return error_of<std::runtime_error>([&] { parse_json(text, "x.json"); });
}

std::string nested(int depth) {
  return std::string(static_cast<std::size_t>(depth), '[') +
         std::string(static_cast<std::size_t>(depth), ']');
}

TEST(StrictJson, ReadsLikeTheLibraryWhereItShould) {
  for (const char* text :
       {"null", "true", " 1 ", "-7", "1.5e3", "\"a\\u00e9\"", "[]", "{}", "[1,[2,{\"a\":[]}],3]",
        "{\"a\":{\"a\":1},\"b\":[{\"a\":2},{\"a\":3}]}", "18446744073709551615"})
    EXPECT_EQ(parse_json(text, "x.json"), json::parse(text)) << text;
}

TEST(StrictJson, RejectsWhatTheLibraryLetsPass) {
  EXPECT_TRUE(contains(parse_error("{\"a\":1,\"a\":2}"), "x.json: key 'a' twice"));
  EXPECT_TRUE(contains(parse_error("{\"b\":{\"a\":1,\"\\u0061\":2}}"), "key 'a' twice"));
  EXPECT_TRUE(contains(parse_error("{\"a\\n\":1,\"a\\n\":2}"), "key 'a\\x0a' twice"));
  EXPECT_TRUE(
      contains(parse_error(std::string_view("{\"a\":1}\0garbage", 15)), "byte 7: got a NUL"));
  EXPECT_TRUE(contains(parse_error("\xEF\xBB\xBF{}"), "byte order mark"));
  EXPECT_EQ(parse_error(""), "x.json: is empty, expected JSON");
  EXPECT_EQ(parse_error(nested(kMaxJsonDepth)), "no exception");
  EXPECT_TRUE(contains(parse_error(nested(kMaxJsonDepth + 1)), "at most 32 levels"));
  EXPECT_TRUE(contains(parse_error(std::string(1'000'000, '[')), "at most 32 levels"));
}

TEST(StrictJson, RejectsWhatIsNotJsonOnOneShortLine) {
  for (const std::string& text :
       {std::string("{} {}"), std::string("{\"a\":1,}"), std::string("{a:1}"), std::string("[1 2]"),
        std::string("// c\n1"), std::string("NaN"), std::string("1e999"), std::string("\"\xFF\""),
        std::string("\"\\uD800\""), std::string("01"), std::string("\"a\nb\""),
        "\"" + std::string(100'000, 'x')}) {
    const std::string got = parse_error(text);
    EXPECT_TRUE(contains(got, "x.json: byte ")) << text.substr(0, 20);
    EXPECT_EQ(got.find('\n'), got.npos);
    EXPECT_LT(got.size(), 300U);
  }
}

TEST(StrictJson, WritesWhatItReads) {
  const json value = {{"b", 1.5}, {"a", {1, 2, "x"}}, {"c", nullptr}};
  EXPECT_EQ(parse_json(format_json(value, "x"), "x"), value);
  EXPECT_EQ(format_json({{"a", 1}}, "x"), "{\n  \"a\": 1\n}\n");
  EXPECT_EQ(format_json(json("cut \xC3"), "x"), "\"cut \xEF\xBF\xBD\"\n");
  const auto refused = [](const json& bad) {
    return error_of<std::invalid_argument>([&] { format_json(bad, "x.json"); });
  };
  EXPECT_TRUE(contains(refused({{"loss", {1, std::nan("")}}}), "x.json.loss.1: a number is not"));
  EXPECT_TRUE(contains(refused(std::numeric_limits<double>::infinity()), "not finite"));
  json deep;
  for (int k = 0; k <= kMaxJsonDepth; ++k) deep = json::array({deep});
  EXPECT_TRUE(contains(refused(deep), "at most 32 levels"));
}

TEST(JsonObject, ChecksTypeAndRange) {
  const json value = parse_json(
      R"({"i":7,"big":4294967300,"huge":18446744073709551615,"over":18446744073709551616,
          "neg":-1,"f":2.9,"one":1.0,"s":"x","b":true,"o":{"k":1},"a":[1],"n":null})",
      "x.json");
  const JsonObject object(value, "x.json");
  EXPECT_EQ(object.integer("i", 0, 7), 7);
  EXPECT_EQ(object.integer("neg", -1, 0), -1);
  EXPECT_EQ(object.integer("one", 0, 1), 1);
  EXPECT_EQ(object.number("f", 0, 3), 2.9);
  EXPECT_EQ(object.number("i", 0, 7), 7.0);
  EXPECT_TRUE(object.boolean("b"));
  EXPECT_EQ(object.string("s"), "x");
  EXPECT_EQ(object.object("o").integer("k", 1, 1), 1);
  EXPECT_TRUE(object.has("n"));
  EXPECT_FALSE(object.has("z"));

  const auto error = [](auto&& body) { return error_of<std::runtime_error>(body); };
  constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
  const auto integer = [&](const char* key, std::int64_t low, std::int64_t high) {
    return error([&] { object.integer(key, low, high); });
  };
  EXPECT_EQ(integer("big", 0, std::numeric_limits<std::int32_t>::max()),
            "x.json: big: got 4294967300, expected a whole number in [0, 2147483647]");
  for (const char* key : {"huge", "over", "neg", "f", "s", "b", "o", "a", "n"})
    EXPECT_TRUE(contains(integer(key, 0, kMax), "expected a whole number")) << key;
  EXPECT_EQ(integer("z", 0, 1), "x.json: z is missing");
  EXPECT_TRUE(contains(error([&] { object.number("f", 3, 4); }), "got 2.9, expected a number"));
  EXPECT_TRUE(contains(error([&] { object.number("s", 0, 1); }), "got \"x\", expected a number"));
  EXPECT_TRUE(contains(error([&] { object.boolean("i"); }), "expected true or false"));
  EXPECT_TRUE(contains(error([&] { object.string("o"); }), "got an object, expected a string"));
  EXPECT_TRUE(contains(error([&] { object.object("a"); }), "got an array, expected an object"));
  EXPECT_TRUE(
      contains(error([&] { object.object("o").integer("k", 2, 3); }), "x.json: o: k: got 1"));
  EXPECT_TRUE(contains(error([&] { JsonObject(value.at("a"), "x"); }), "expected an object"));
}

}  // namespace
}  // namespace unroll::test
