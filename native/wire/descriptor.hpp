#pragma once

#include <unistd.h>

#include <cerrno>
#include <utility>

namespace vamos {

// Owns a file descriptor.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  ~Descriptor() { close(); }

  int get() const { return number_; }
  bool isOpen() const { return number_ >= 0; }
  // Gives the descriptor away.
  int release() { return std::exchange(number_, -1); }

  // Closes. Returns 0 or the errno: errors of network and quota file systems may show only here.
  int close() {
    const int number = release();
    return number >= 0 && ::close(number) != 0 ? errno : 0;
  }

 private:
  int number_ = -1;
};

}  // namespace vamos
