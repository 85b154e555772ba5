/// What the ranks of one run tell each other. A rank is a process (in tests, a thread) that trains
/// a part of every batch. Rank 0 is also the one that writes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace unroll {

/// Another rank has failed or is gone, so this one cannot go on either. `what()` is one line that
/// names the rank.
class RankFailure : public std::runtime_error {
 public:
  RankFailure(const std::string& what, int teller) : std::runtime_error(what), teller_(teller) {}
  /// The rank that says so to the user: the lowest that is left.
  int teller() const { return teller_; }

 private:
  int teller_;
};

struct Outgoing {
  int to;
  std::span<const std::byte> bytes;
};
struct Incoming {
  int from;
  std::span<std::byte> bytes;
};

/// Every function but fail() is collective: all ranks call the same ones in the same order, and
/// each waits for those that it needs something from, however long they compute. A rank that is
/// dead, stopped or cut off ends the wait of all others.
/// Errors    RankFailure, from every function but fail().
class Communicator {
 public:
  Communicator() = default;
  virtual ~Communicator() = default;
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  virtual int rank() const = 0;
  virtual int size() const = 0;
  bool leads() const { return rank() == 0; }

  /// Sends and receives at once. Messages between two ranks arrive in order, and both sides know
  /// their sizes. None is to the rank itself.
  virtual void exchange(std::span<const Outgoing> out, std::span<const Incoming> in) = 0;

  /// Tells the other ranks that this one cannot go on, and why. Whatever they wait for fails with
  /// that line. Nothing may be called after it. Returns whether another rank will tell the user.
  virtual bool fail(const std::string& why) noexcept = 0;
  /// `call` is called once, from another thread, when another rank has failed: it ends waits that
  /// the communicator does not know. It may outlive what it is about.
  virtual void on_failure(std::function<void()> call) = 0;
  /// Waits until no rank needs another one any more. Nothing may be called after it.
  virtual void finish() = 0;

  // Made of exchange().
  void barrier();
  /// Copies rank 0's values to all.
  void broadcast(std::span<std::byte> bytes);
  std::string broadcast(const std::string& text);
  /// The texts of all ranks on rank 0; nothing on the others.
  std::vector<std::string> gather(const std::string& text);
  /// Whether it is so on any rank.
  bool any(bool here);
};

/// Ranks that are threads of this process: for tests.
std::vector<std::unique_ptr<Communicator>> ranks_in_process(int size);

}  // namespace unroll
