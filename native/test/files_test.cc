// Files: locks that exclude, writes that are whole or not at all, errors that name call and path.
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "check.h"
#include "file_size_limit.h"
#include "files/error.h"
#include "files/file_lock.h"
#include "files/whole_file.h"
#include "temporary_folder.h"

namespace files = tensorrt_node::files;
using test::FileSizeLimit;

namespace {

std::span<const std::byte> bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

// Whether another process could take the lock.
bool freeForOthers(const std::string& path) {
  const ::pid_t child = ::fork();
  if (child == 0) ::_exit(files::FileLock::tryLock(path) ? 0 : 1);
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace

TEST(a_file_lock_excludes_this_process_and_others) {
  const test::TemporaryFolder folder;
  {
    auto lock = files::FileLock::tryLock(folder.file("lock"));
    CHECK(lock.has_value());
    CHECK(!files::FileLock::tryLock(folder.file("lock")));
    CHECK(!freeForOthers(folder.file("lock")));
    const files::FileLock moved = std::move(*lock);
    lock.reset();
    CHECK(!files::FileLock::tryLock(folder.file("lock")));
  }
  CHECK(freeForOthers(folder.file("lock")));
  CHECK(files::FileLock::tryLock(folder.file("lock")).has_value());
}

TEST(a_lock_of_a_removed_file_does_not_count) {
  const test::TemporaryFolder folder;
  const auto first = files::FileLock::tryLock(folder.file("lock"));
  ::unlink(folder.file("lock").c_str());
  CHECK(files::FileLock::tryLock(folder.file("lock")).has_value());
}

TEST(the_lock_of_a_process_that_dies_is_free) {
  const test::TemporaryFolder folder;
  const ::pid_t child = ::fork();
  if (child == 0) {
    const auto lock = files::FileLock::tryLock(folder.file("lock"));
    ::raise(SIGKILL);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  CHECK(WIFSIGNALED(status));
  CHECK(files::FileLock::tryLock(folder.file("lock")).has_value());
}

TEST(a_lock_where_no_file_can_be_names_call_and_path) {
  const test::TemporaryFolder folder;
  const auto error = CHECK_THROWS(files::FileLock::tryLock(folder.file("no/lock")), files::FileError);
  CHECK_EQUAL(error.codeName(), "ENOENT");
  CHECK_EQUAL(error.call(), "open");
  CHECK_EQUAL(error.path(), folder.file("no/lock"));
  CHECK_CONTAINS(error.what(), "ENOENT: No such file or directory, open '");
}

TEST(files_are_read_as_they_were_written) {
  const test::TemporaryFolder folder;
  const std::string text("a\0b", 3);
  files::write(folder.file("file"), bytes(text));
  CHECK(folder.read("file") == text);
  files::write(folder.file("file"), bytes("c"));
  CHECK_EQUAL(folder.read("file"), "c");
  files::replace(folder.file("file"), bytes(text));
  const auto read = files::readIfThere(folder.file("file"));
  CHECK(read.has_value());
  CHECK_EQUAL(read->size(), 3U);
  CHECK_EQUAL(folder.list(), "file ");
  CHECK(!files::readIfThere(folder.file("missing")));
  CHECK_EQUAL(CHECK_THROWS(files::readIfThere(folder.file("")), files::FileError).codeName(), "EISDIR");
}

TEST(a_file_that_does_not_fit_is_removed) {
  const test::TemporaryFolder folder;
  const FileSizeLimit limit(1000);
  const std::string text(5000, 'x');
  const auto error = CHECK_THROWS(files::write(folder.file("file"), bytes(text)), files::FileError);
  CHECK_EQUAL(error.codeName(), "EFBIG");
  CHECK_EQUAL(error.call(), "write");
  CHECK_EQUAL(folder.list(), "");
}

TEST(a_file_that_cannot_be_replaced_stays_as_it_was) {
  const test::TemporaryFolder folder;
  folder.write("file", "old");
  const FileSizeLimit limit(1000);
  CHECK_THROWS(files::replace(folder.file("file"), bytes(std::string(5000, 'x'))), files::FileError);
  CHECK_EQUAL(folder.read("file"), "old");
  CHECK_EQUAL(folder.list(), "file ");
}

TEST(a_folder_is_not_replaced_by_a_file) {
  const test::TemporaryFolder folder;
  std::filesystem::create_directory(folder.file("taken"));
  const auto error = CHECK_THROWS(files::replace(folder.file("taken"), bytes("x")), files::FileError);
  CHECK_EQUAL(error.call(), "rename");
  CHECK_EQUAL(folder.list(), "taken ");
}

TEST(writers_that_replace_a_file_at_once_leave_one_of_theirs) {
  const test::TemporaryFolder folder;
  std::vector<std::thread> writers;
  for (char each = 'a'; each < 'e'; ++each)
    writers.emplace_back([&folder, each] {
      for (int i = 0; i < 20; ++i) files::replace(folder.file("file"), bytes(std::string(2000, each)));
    });
  for (std::thread& each : writers) each.join();
  const std::string text = folder.read("file");
  CHECK_EQUAL(text.size(), 2000U);
  CHECK_EQUAL(text.find_first_not_of(text[0]), std::string::npos);
  CHECK_EQUAL(folder.list(), "file ");
}
