// A call on a file that the system refused.
#pragma once

#include <stdexcept>
#include <string>

namespace tensorrt_node::files {

class FileError : public std::runtime_error {
 public:
  // `call` is the system call: "open"; `number` is errno.
  FileError(std::string call, std::string path, int number);

  const std::string& call() const noexcept { return call_; }
  const std::string& path() const noexcept { return path_; }
  int number() const noexcept { return number_; }
  // "ENOSPC"; "E" and the number for codes that are not common.
  std::string codeName() const;

 private:
  std::string call_;
  std::string path_;
  int number_;
};

}  // namespace tensorrt_node::files
