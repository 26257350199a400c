// A test framework of a page: tests register themselves, checks say what they saw, and the first that fails ends its
// test. runTests() is the whole of main().
#pragma once

#include <exception>
#include <functional>
#include <iostream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace check {

struct Test {
  const char* name;
  void (*body)();
};

inline std::vector<Test>& tests() {
  static std::vector<Test> all;
  return all;
}

struct Registration {
  Registration(const char* name, void (*body)()) { tests().push_back({name, body}); }
};

struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

template <typename Value>
std::string show(const Value& value) {
  std::ostringstream text;
  if constexpr (std::is_enum_v<Value>) {
    text << static_cast<long long>(value);
  } else {
    text << value;
  }
  return text.str();
}

[[noreturn]] inline void fail(const char* file, int line, const std::string& what) {
  throw Failure(std::string(file) + ":" + std::to_string(line) + ": " + what);
}

// Which of the tests that are asked for a process runs: every `of`-th, from the `first` on.
struct Share {
  unsigned first = 0;
  unsigned of = 1;
};

// Runs each test of the share whose name contains `filter` between `before` and `after`, which may fail it as well; the
// number that failed is the result.
inline int runTests(std::string_view filter, Share share, const std::function<void()>& before,
                    const std::function<void()>& after) {
  int failed = 0;
  int ran = 0;
  unsigned found = 0;
  for (const Test& test : tests()) {
    if (std::string_view(test.name).find(filter) == std::string_view::npos) continue;
    if (found++ % share.of != share.first) continue;
    ++ran;
    try {
      before();
      test.body();
      after();
    } catch (const std::exception& error) {
      ++failed;
      std::cout << "FAILED " << test.name << "\n  " << error.what() << std::endl;
    }
  }
  std::cout << ran - failed << " of " << ran << " tests passed" << std::endl;
  return found == 0 ? 1 : failed;
}

// A function, so that what an operand is part of lives until the end.
template <typename Actual, typename Expected>
void equal(const Actual& actual, const Expected& expected, const char* what, const char* file, int line) {
  if (!(actual == expected))
    fail(file, line, std::string(what) + " is " + show(actual) + ", expected " + show(expected));
}

}  // namespace check

#define TEST(name)                                          \
  static void name();                                       \
  static const check::Registration name##_run{#name, name}; \
  static void name()

#define CHECK(condition)                                                       \
  do {                                                                         \
    if (!(condition)) check::fail(__FILE__, __LINE__, #condition " is false"); \
  } while (false)

#define CHECK_EQUAL(actual, expected) check::equal((actual), (expected), #actual, __FILE__, __LINE__)

#define CHECK_CONTAINS(text, part)                                                                   \
  do {                                                                                               \
    const std::string check_t = (text);                                                              \
    if (check_t.find(part) == std::string::npos)                                                     \
      check::fail(__FILE__, __LINE__,                                                                \
                  std::string(#text " is '") + check_t + "', expected to contain '" + (part) + "'"); \
  } while (false)

// The value is the exception, for further checks.
#define CHECK_THROWS(expression, Type)                                    \
  [&]() -> Type {                                                         \
    try {                                                                 \
      static_cast<void>(expression);                                      \
    } catch (const Type& thrown) {                                        \
      return thrown;                                                      \
    }                                                                     \
    check::fail(__FILE__, __LINE__, #expression " did not throw " #Type); \
  }()
