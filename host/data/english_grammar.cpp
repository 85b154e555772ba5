/// English as tables and a few combinators. Sentences are composed from their end to their
/// beginning: a combinator takes the state to go on with and returns the state to come from. What
/// has to be remembered (number, gender, tense, verb, object) is which state one goes on with, and
/// no state can be part of a loop, so that every sentence is finite.
#include "host/data/grammar.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <stdexcept>
#include <tuple>
#include <utility>

#include "host/base/words.h"

namespace unroll {
namespace {

// ---- the tables: "fork:5 spoon:2" are words with weights (1 if not given) ----

constexpr std::string_view kMassNouns = "bread cream honey milk soup tea";
struct Plural {
  std::string_view singular, plural;
};
constexpr Plural kIrregularPlurals[] = {
    {"box", "boxes"}, {"cherry", "cherries"}, {"man", "men"}, {"woman", "women"}};

/// A subject, the pronoun that refers to it later, and the nouns it can be.
struct Person {
  std::string_view pronoun, possessive, nouns;
  bool plural;
};
constexpr Person kPersons[] = {
    {"he", "his", "boy:2 man:2 king", false},
    {"she", "her", "girl:2 woman:2 queen", false},
    {"they", "their", "boy:2 girl:2 man:2 woman:2 king queen", true},
};

struct Verb {
  std::string_view base, third, past, participle;
  std::string_view adjectives;  // of its objects
  double weight;
};
constexpr Verb kVerbs[] = {
    {"eat", "eats", "ate", "eaten", "good cold small big old strange new", 5},
    {"cut", "cuts", "cut", "cut", "big old small good new strange", 4},
    {"drink", "drinks", "drank", "drunk", "good cold sweet strange", 3},
    {"open", "opens", "opened", "opened", "old big small new red white strange", 4},
    {"write", "writes", "wrote", "written", "new good small strange sweet", 3},
    {"read", "reads", "read", "read", "old new good strange red", 3},
    {"see", "sees", "saw", "seen", "red small big white old strange sweet", 3},
    {"wash", "washes", "washed", "washed", "old red small big new white good", 3},
};

/// What an object has inside or on it. "The cake with the cherries" is one thing in
/// every sentence; "the cake , which contained cherries , was eaten" needs the number of the cake.
struct Object {
  std::string_view noun, has, parts;
};
constexpr Object kObjects[] = {
    {"cake", "contained", "cherry:4 candle:4 cream:3 nut:2 flower:2"},
    {"soup", "contained", "onion:3 bean:3 cream:2 nut lemon"},
    {"bread", "contained", "nut:3 onion:3 cherry:2 honey"},
    {"tree", "had", "apple:3 cherry:3 flower:3 nut:2 bird"},
    {"milk", "contained", "honey:2 cherry:2 nut"},
    {"tea", "contained", "lemon:3 honey:3 milk:2 flower cherry"},
    {"door", "had", "handle:3 window:3 picture:2 flower"},
    {"box", "contained", "letter:2 book:2 apple:2 candle:2 picture stamp plate"},
    {"letter", "contained", "picture:3 stamp:3 flower:2 feather"},
    {"book", "contained", "picture:3 letter:2 flower:2 stamp"},
    {"bird", "had", "feather:4 nut:2 cherry:2 flower"},
    {"window", "had", "flower:3 handle:3 candle:2 picture"},
    {"plate", "had", "flower:3 picture:3 cherry:2 nut:2"},
};

/// What is done to an object, with which tools (they belong to the verb: "ate the cake with the
/// fork"), and why. The reason speaks of the subject ("because she was hungry") or the object
/// ("because they were dirty").
struct Use {
  std::string_view verb, object, tools;
  enum { kNone, kSubject, kObject } of;
  std::string_view reason;
  double weight;
};
constexpr Use kUses[] = {
    {"eat", "cake", "fork:5 spoon:2", Use::kSubject, "hungry", 3},
    {"eat", "soup", "spoon:4 cup", Use::kSubject, "hungry", 2},
    {"cut", "cake", "knife:4 fork spoon", Use::kSubject, "hungry", 2},
    {"cut", "bread", "knife:3 saw:2 fork", Use::kSubject, "hungry", 2},
    {"cut", "tree", "saw:3 axe:3 knife", Use::kObject, "old", 2},
    {"drink", "milk", "straw:3 spoon cup:2", Use::kSubject, "thirsty", 1},
    {"drink", "tea", "spoon:2 straw cup:3", Use::kSubject, "cold", 1},
    {"open", "door", "key:4 axe hammer:2", Use::kSubject, "curious", 1},
    {"open", "box", "knife hammer key saw", Use::kSubject, "curious", 1},
    {"write", "letter", "pen:4 pencil:2 feather", Use::kSubject, "lonely", 2},
    {"write", "book", "pencil:3 pen:2 feather", Use::kSubject, "lonely", 1},
    {"read", "letter", "candle:2 lamp:2 telescope", Use::kSubject, "curious", 1},
    {"read", "book", "lamp:3 candle", Use::kSubject, "lonely", 1},
    {"see", "bird", "telescope:4 lamp", Use::kNone, "", 2},
    {"see", "tree", "telescope:3 lamp candle", Use::kNone, "", 1},
    {"see", "cake", "", Use::kNone, "", 1},
    {"wash", "window", "sponge:3 brush:2", Use::kObject, "dirty", 1},
    {"wash", "plate", "sponge:2 brush:3", Use::kObject, "dirty", 1},
};

/// What the subject does next, after "and".
constexpr std::string_view kThenPast = "sang slept danced";
constexpr std::string_view kThenThird = "sings sleeps dances";
constexpr std::string_view kThenBase = "sing sleep dance";

constexpr std::string_view kLiked =
    "bird:3 book:3 flower:3 picture:3 box:2 letter:2 cake:2 tree:2";  // the girl , who liked ... ,
constexpr std::string_view kPersonAdjectives = "small good strange hungry lonely curious";
constexpr std::string_view kPartAdjectives = "good small big red white sweet";
constexpr std::string_view kObjectAdjectives = "new good small big strange red";

// ---- the combinators ----

using State = std::size_t;
using Transition = Grammar::Transition;
constexpr State kStart = static_cast<State>(-1);  // stands for the first state until all are built

struct Option {
  double weight;
  State next;
};
using Options = std::vector<Option>;

double total(const Options& options) {
  double sum = 0;
  for (const Option& o : options) sum += o.weight;
  return sum;
}

/// Calls body(word, weight) for each entry of a weighted list.
template <typename Body>
void for_each_entry(std::string_view list, Body&& body) {
  for_each_word(list, [&](std::string_view entry) {
    const std::size_t colon = std::min(entry.find(':'), entry.size());
    int weight = 1;
    if (colon < entry.size())
      std::from_chars(entry.data() + colon + 1, entry.data() + entry.size(), weight);
    body(entry.substr(0, colon), static_cast<double>(weight));
  });
}

bool contains(std::string_view list, std::string_view word) {
  bool found = false;
  for_each_word(list, [&](std::string_view entry) { found = found || entry == word; });
  return found;
}

std::string plural(std::string_view noun) {
  const auto* const irregular = std::ranges::find(kIrregularPlurals, noun, &Plural::singular);
  return irregular == std::end(kIrregularPlurals) ? std::string(noun) + "s"
                                                  : std::string(irregular->plural);
}

/// States that are built once and shared: two requests for the same transitions are one state.
class Builder {
 public:
  /// One word of a weighted list, then `next`.
  State one_of(std::string_view list, State next) {
    double sum = 0;
    for_each_entry(list, [&](std::string_view, double w) { sum += w; });
    std::vector<Transition> out;
    for_each_entry(list, [&](std::string_view word, double w) {
      out.push_back({intern(word), next, w / sum});
    });
    return add(std::move(out));
  }

  /// The words of the phrase in turn, then `next`.
  State say(std::string_view phrase, State next) {
    std::vector<std::string_view> words;
    for_each_word(phrase, [&](std::string_view word) { words.push_back(word); });
    for (auto word = words.rbegin(); word != words.rend(); ++word) next = one_of(*word, next);
    return next;
  }

  /// Goes on as one of several states does; options of weight zero are left out.
  State mix(const Options& options) {
    const double sum = total(options);
    std::vector<Transition> out;
    for (const Option& o : options)
      if (o.weight > 0)
        for (Transition t : states_[o.next]) {
          t.probability *= o.weight / sum;
          out.push_back(t);
        }
    return add(std::move(out));
  }

  /// "a" or "an", as the first word of `next` needs it.
  State article(State next) {
    std::vector<Transition> sides[2];
    double weights[2] = {0, 0};
    for (const Transition& t : states_[next]) {
      const bool vowel =
          std::string_view("aeiou").find(names_[t.word][0]) != std::string_view::npos;
      sides[vowel].push_back(t);
      weights[vowel] += t.probability;
    }
    Options options;
    for (const bool vowel : {false, true}) {
      if (sides[vowel].empty()) continue;
      for (Transition& t : sides[vowel]) t.probability /= weights[vowel];
      options.push_back({weights[vowel], say(vowel ? "an" : "a", add(std::move(sides[vowel])))});
    }
    return mix(options);
  }

  const std::vector<std::string>& names() const { return names_; }
  const std::vector<std::vector<Transition>>& states() const { return states_; }

 private:
  std::size_t intern(std::string_view word) {
    const auto [at, is_new] = ids_.try_emplace(std::string(word), names_.size());
    if (is_new) names_.emplace_back(word);
    return at->second;
  }

  using Key = std::vector<std::tuple<std::size_t, State, double>>;

  State add(std::vector<Transition> out) {
    // The probability is part of the order so that equal transitions are always summed alike.
    std::ranges::sort(
        out, {}, [](const Transition& t) { return std::tuple(t.word, t.next, t.probability); });
    std::vector<Transition> merged;
    Key key;
    for (const Transition& t : out)
      if (!merged.empty() && merged.back().word == t.word && merged.back().next == t.next)
        merged.back().probability += t.probability;
      else
        merged.push_back(t);
    for (const Transition& t : merged) key.emplace_back(t.word, t.next, t.probability);
    const auto [at, is_new] = known_.try_emplace(std::move(key), states_.size());
    if (is_new) states_.push_back(std::move(merged));
    return at->second;
  }

  std::vector<std::string> names_;
  std::map<std::string, std::size_t> ids_;
  std::vector<std::vector<Transition>> states_;
  std::map<Key, State> known_;
};

// ---- the sentences ----

enum class Tense { kPast, kPresent, kAny };

/// Nouns that may head a phrase, by what determiners they take.
struct Heads {
  Options count, mass, plural;

  Options all() const {
    Options options = count;
    options.insert(options.end(), mass.begin(), mass.end());
    options.insert(options.end(), plural.begin(), plural.end());
    return options;
  }
};

class English : public Builder {
 public:
  State sentence() { return mix({{0.62, active()}, {0.38, passive()}}); }

 private:
  // "yesterday she cut the bread", "every morning they drink some tea": the first word decides
  // the tense of the last, "and sang" or "and sing".
  State active() {
    return mix({{0.68, subject(Tense::kAny)},
                {0.08, say("today", subject(Tense::kAny))},
                {0.12, say("yesterday", subject(Tense::kPast))},
                {0.12, say("every", one_of("morning day", subject(Tense::kPresent)))}});
  }

  State subject(Tense tense) {
    Options pronouns;
    for (const Person& p : kPersons) pronouns.push_back({1, say(p.pronoun, predicate(p, tense))});
    const State nouns = noun_phrase(
        persons(0.5,
                [&](const Person& p) {
                  const State verb = predicate(p, tense);
                  return mix({{0.7, verb}, {0.3, say(", who", liking(p, say(",", verb)))}});
                }),
        kPersonAdjectives, "some");
    return mix({{0.4, mix(pronouns)}, {0.6, nouns}});
  }

  // The noun before the second comma mostly has the other number than the subject.
  State liking(const Person& person, State next) {
    const State what = noun_phrase(things(kLiked, person.plural ? 0.65 : 0.25, next), "", "");
    return person.plural ? one_of("liked:2 had:2 wanted:2 found:2 saw like:2 have:2", what)
                         : one_of("liked:2 had:2 wanted:2 found:2 saw likes:2 has:2", what);
  }

  State predicate(const Person& person, Tense tense) {
    if (tense == Tense::kAny)
      return mix(
          {{0.6, predicate(person, Tense::kPast)}, {0.4, predicate(person, Tense::kPresent)}});
    Options verbs;
    for (const Verb& verb : kVerbs) {
      const std::string_view form = tense == Tense::kPast ? verb.past
                                    : person.plural       ? verb.base
                                                          : verb.third;
      verbs.push_back({verb.weight, say(form, object(verb, person, tense))});
    }
    const State verb = mix(verbs);
    return mix({{0.85, verb}, {0.15, one_of("also happily quietly", verb)}});
  }

  State object(const Verb& verb, const Person& person, Tense tense) {
    Heads heads;
    for (const Use& use : kUses) {
      if (use.verb != verb.base) continue;
      add_noun(heads, use.object, use.weight, 0.6,
               [&](bool plural) { return after_object(use, plural, person, tense); });
    }
    return noun_phrase(heads, verb.adjectives, "some");
  }

  // "the cake with the fork" and "the cake with the cherries" begin alike: two live states.
  State after_object(const Use& use, bool plural, const Person& person, Tense tense) {
    const State end = ending(use, plural, person, tense);
    const auto of_object = [&](State next) {
      return say("with", noun_phrase(things(parts_of(use.object).parts, 0.35, next), "", ""));
    };
    if (use.tools.empty()) return mix({{0.5, end}, {0.5, of_object(end)}});
    const State tool = with_tool(use.tools, person.possessive, end);
    const State part = of_object(mix({{0.7, end}, {0.3, tool}}));
    return mix({{0.3, end}, {0.42, tool}, {0.28, part}});
  }

  State with_tool(std::string_view tools, std::string_view possessive, State next) {
    const State tool = one_of(tools, next);
    Options options = {{0.5, say("the", tool)}, {0.3, article(tool)}};
    if (!possessive.empty()) options.push_back({0.2, say(possessive, tool)});
    return say("with", mix(options));
  }

  State ending(const Use& use, bool plural, const Person& person, Tense tense) {
    const State then = one_of(tense == Tense::kPast ? kThenPast
                              : person.plural       ? kThenBase
                                                    : kThenThird,
                              place());
    Options options = {{0.65, place()}, {0.15, say("and", then)}};
    if (use.of == Use::kSubject)
      options.push_back({0.2, because(person.pronoun, person.plural, tense, use.reason)});
    if (use.of == Use::kObject)
      options.push_back({0.2, because(plural ? "they" : "it", plural, tense, use.reason)});
    return mix(options);
  }

  State because(std::string_view pronoun, bool plural, Tense tense, std::string_view reason) {
    const std::string_view be =
        tense == Tense::kPast ? (plural ? "were" : "was") : (plural ? "are" : "is");
    return say("because", say(pronoun, say(be, say(reason, end()))));
  }

  State place() {
    const State where = one_of("kitchen:2 garden:2 room:2 park", end());
    return mix({{0.65, end()}, {0.35, one_of("in:2 near", one_of("the:3 our", where))}});
  }

  State end() { return say("<eos>", kStart); }

  // "the cakes , which contained a candle , were eaten with a fork"
  State passive() {
    Heads heads;
    for (const Object& object : kObjects)
      add_noun(heads, object.noun, 1, 0.5, [&](bool plural) {
        const State was = be_done(object, plural);
        return mix({{0.35, was}, {0.65, which(object, plural, say(",", was))}});
      });
    return noun_phrase(heads, kObjectAdjectives, "some");
  }

  State which(const Object& object, bool plural, State next) {
    const double singular = plural ? 0.65 : 0.25;
    const auto person = [&](State then) {
      return noun_phrase(persons(singular, [&](const Person&) { return then; }), "", "some");
    };
    const State has = noun_phrase(things(object.parts, singular, next), kPartAdjectives, "");
    return say(", which", mix({{0.5, say(object.has, has)},
                               {0.25, say("belonged to", person(next))},
                               {0.25, person(one_of("wanted found liked saw", next))}}));
  }

  State be_done(const Object& object, bool plural) {
    Options options;
    for (const Use& use : kUses) {
      if (use.object != object.noun) continue;
      const Verb& verb = *std::ranges::find(kVerbs, use.verb, &Verb::base);
      options.push_back({use.weight, say(verb.participle, after_participle(use))});
    }
    const State done = mix(options);
    return mix({{0.6, say(plural ? "were" : "was", done)},
                {0.25, say(plural ? "have been" : "has been", done)},
                {0.15, say("will be", done)}});
  }

  State after_participle(const Use& use) {
    const State person =
        noun_phrase(persons(0.5, [&](const Person&) { return place(); }), "", "some");
    const State by = say("by", person);
    if (use.tools.empty()) return mix({{0.6, place()}, {0.4, by}});
    return mix({{0.35, place()}, {0.2, by}, {0.45, with_tool(use.tools, "", place())}});
  }

  /// A determiner, perhaps an adjective, a noun. The second determiner, for mass nouns and
  /// plurals, may be empty: "with cherries".
  State noun_phrase(const Heads& heads, std::string_view adjectives, std::string_view some) {
    const auto described = [&](const Options& nouns) {
      const State noun = mix(nouns);
      return adjectives.empty() ? noun : mix({{0.55, noun}, {0.45, one_of(adjectives, noun)}});
    };
    Options uncounted = heads.mass;
    uncounted.insert(uncounted.end(), heads.plural.begin(), heads.plural.end());
    const double count = total(heads.count), rest = total(uncounted);

    Options options = {{0.55 * (count + rest), one_of("the:5 our", described(heads.all()))}};
    if (count > 0) options.push_back({0.45 * count, article(described(heads.count))});
    if (rest > 0) options.push_back({0.45 * rest, say(some, described(uncounted))});
    return mix(options);
  }

  /// Adds the singular and the plural of a noun, each followed by next(is_plural).
  template <typename Next>
  void add_noun(Heads& heads, std::string_view noun, double weight, double singular, Next&& next) {
    if (contains(kMassNouns, noun)) {
      heads.mass.push_back({weight, say(noun, next(false))});
      return;
    }
    heads.count.push_back({weight * singular, say(noun, next(false))});
    heads.plural.push_back({weight * (1 - singular), say(plural(noun), next(true))});
  }

  Heads things(std::string_view list, double singular, State next) {
    Heads heads;
    for_each_entry(list, [&](std::string_view noun, double weight) {
      add_noun(heads, noun, weight, singular, [&](bool) { return next; });
    });
    return heads;
  }

  /// The nouns of kPersons, each followed by next(person).
  template <typename Next>
  Heads persons(double singular, Next&& next) {
    Heads heads;
    for (const Person& person : kPersons) {
      const State after = next(person);
      for_each_entry(person.nouns, [&](std::string_view noun, double weight) {
        if (person.plural)
          heads.plural.push_back({weight * (1 - singular), say(plural(noun), after)});
        else
          heads.count.push_back({weight * singular, say(noun, after)});
      });
    }
    return heads;
  }

  static const Object& parts_of(std::string_view noun) {
    return *std::ranges::find(kObjects, noun, &Object::noun);
  }
};

}  // namespace

Grammar Grammar::english() {
  English english;
  const State start = english.sentence();

  // Only what the start reaches is kept, numbered in the order of a breadth-first search: mixing
  // copies transitions, and leaves behind states that nothing leads to.
  std::vector<State> order = {start};
  std::map<State, std::size_t> place = {{start, 0}, {kStart, 0}};
  for (std::size_t k = 0; k < order.size(); ++k)
    for (const Transition& t : english.states()[order[k]])
      if (place.try_emplace(t.next, order.size()).second) order.push_back(t.next);

  Grammar grammar;
  grammar.words_ = english.names();
  std::ranges::sort(grammar.words_, {}, [](const std::string& word) {
    return std::pair(word != "<eos>", std::string_view(word));
  });
  for (std::size_t w = 0; w < grammar.words_.size(); ++w) grammar.indices_[grammar.words_[w]] = w;

  for (const State state : order) {
    const std::size_t first = grammar.transitions_.size();
    grammar.first_.push_back(first);
    for (const Transition& t : english.states()[state])
      grammar.transitions_.push_back(
          {grammar.index_of(english.names()[t.word]), place.at(t.next), t.probability});
    std::ranges::sort(grammar.transitions_.begin() + static_cast<std::ptrdiff_t>(first),
                      grammar.transitions_.end(), {},
                      [](const Transition& t) { return std::pair(t.word, t.next); });
  }
  grammar.first_.push_back(grammar.transitions_.size());
  return grammar;
}

}  // namespace unroll
