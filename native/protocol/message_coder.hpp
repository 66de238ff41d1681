#pragma once

#include <concepts>
#include <cstdint>
#include <protozero/pbf_reader.hpp>
#include <protozero/pbf_writer.hpp>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

// Protobuf messages as C++ structs: for each struct M one function
//   template <class Visitor, Is<M> T> void fields(Visitor& visit, T& message)
// that calls visit(NUMBER, message.FIELD) for each field, with the most elements where it is repeated, in
// ascending order. It serves both to write and to read.
namespace vamos::wire {

template <typename T, typename M>
concept Is = std::same_as<std::remove_const_t<T>, M>;

// Writes the fields that differ from their defaults.
class FieldWriter {
 public:
  explicit FieldWriter(std::string& out) : writer_(out) {}

  void operator()(uint32_t number, bool value) {
    if (value) writer_.add_bool(number, true);
  }
  void operator()(uint32_t number, uint32_t value) {
    if (value != 0) writer_.add_uint32(number, value);
  }
  void operator()(uint32_t number, uint64_t value) {
    if (value != 0) writer_.add_uint64(number, value);
  }
  void operator()(uint32_t number, int32_t value) {
    if (value != 0) writer_.add_int32(number, value);
  }
  void operator()(uint32_t number, std::string_view value) {
    if (!value.empty()) writer_.add_bytes(number, value.data(), value.size());
  }
  void operator()(uint32_t number, const std::string& value) { (*this)(number, std::string_view(value)); }
  template <typename Enum>
  requires std::is_enum_v<Enum>
  void operator()(uint32_t number, Enum value) { (*this)(number, static_cast<uint32_t>(value)); }
  template <typename Message>
  requires std::is_class_v<Message>
  void operator()(uint32_t number, const Message& message) {
    std::string bytes;
    write(message, bytes);
    (*this)(number, std::string_view(bytes));
  }
  void operator()(uint32_t number, const std::vector<uint32_t>& values, size_t /*most*/) {
    writer_.add_packed_uint32(number, values.begin(), values.end());
  }
  template <typename Element>
  void operator()(uint32_t number, const std::vector<Element>& elements, size_t /*most*/) {
    for (const Element& element : elements) {
      std::string bytes;
      if constexpr (std::is_same_v<Element, std::string>) {
        bytes = element;
      } else {
        write(element, bytes);
      }
      writer_.add_bytes(number, bytes);
    }
  }

  template <typename Message>
  static void write(const Message& message, std::string& out) {
    FieldWriter visit(out);
    fields(visit, message);
  }

 private:
  protozero::pbf_writer writer_;
};

// Takes the field at which the reader stands, if it is the one visited.
class FieldReader {
 public:
  explicit FieldReader(protozero::pbf_reader& reader) : reader_(reader) {}

  void operator()(uint32_t number, bool& value) {
    if (isAt(number, protozero::pbf_wire_type::varint)) value = reader_.get_uint64() != 0;
  }
  void operator()(uint32_t number, uint32_t& value) {
    if (isAt(number, protozero::pbf_wire_type::varint)) value = static_cast<uint32_t>(reader_.get_uint64());
  }
  void operator()(uint32_t number, uint64_t& value) {
    if (isAt(number, protozero::pbf_wire_type::varint)) value = reader_.get_uint64();
  }
  void operator()(uint32_t number, int32_t& value) {
    if (isAt(number, protozero::pbf_wire_type::varint)) value = static_cast<int32_t>(reader_.get_uint64());
  }
  void operator()(uint32_t number, std::string_view& value) {
    if (isAt(number, protozero::pbf_wire_type::length_delimited)) value = view();
  }
  void operator()(uint32_t number, std::string& value) {
    if (isAt(number, protozero::pbf_wire_type::length_delimited)) value = view();
  }
  template <typename Enum>
  requires std::is_enum_v<Enum>
  void operator()(uint32_t number, Enum& value) {
    if (isAt(number, protozero::pbf_wire_type::varint)) {
      value = static_cast<Enum>(static_cast<uint32_t>(reader_.get_uint64()));
    }
  }
  template <typename Message>
  requires std::is_class_v<Message>
  void operator()(uint32_t number, Message& message) {
    if (!isAt(number, protozero::pbf_wire_type::length_delimited)) return;
    message = {};
    read(view(), message);
  }
  void operator()(uint32_t number, std::vector<uint32_t>& values, size_t most) {
    if (isAt(number, protozero::pbf_wire_type::varint)) {
      append(values, static_cast<uint32_t>(reader_.get_uint64()), most);
    } else if (isAt(number, protozero::pbf_wire_type::length_delimited)) {
      for (const uint64_t value : reader_.get_packed_uint64()) {
        append(values, static_cast<uint32_t>(value), most);
      }
    }
  }
  template <typename Element>
  void operator()(uint32_t number, std::vector<Element>& elements, size_t most) {
    if (!isAt(number, protozero::pbf_wire_type::length_delimited)) return;
    append(elements, Element(), most);
    if constexpr (std::is_same_v<Element, std::string>) {
      elements.back() = view();
    } else {
      read(view(), elements.back());
    }
  }

  // Decodes a message. Throws protozero::exception.
  template <typename Message>
  static void read(std::string_view bytes, Message& message) {
    protozero::pbf_reader reader(bytes.data(), bytes.size());
    FieldReader visit(reader);
    while (reader.next()) {
      visit.isTaken_ = false;
      fields(visit, message);
      if (!visit.isTaken_) reader.skip();
    }
  }

 private:
  bool isAt(uint32_t number, protozero::pbf_wire_type type) {
    if (isTaken_ || reader_.tag_and_type() != protozero::tag_and_type(number, type)) return false;
    isTaken_ = true;
    return true;
  }

  std::string_view view() {
    const protozero::data_view bytes = reader_.get_view();
    return {bytes.data(), bytes.size()};
  }

  template <typename Element>
  static void append(std::vector<Element>& elements, Element element, size_t most) {
    if (elements.size() == most) throw protozero::invalid_length_exception();
    elements.push_back(std::move(element));
  }

  protozero::pbf_reader& reader_;
  bool isTaken_ = false;
};

template <typename Message>
std::string encodeMessage(const Message& message) {
  std::string bytes;
  FieldWriter::write(message, bytes);
  return bytes;
}

template <typename Message>
bool decodeMessage(std::string_view bytes, Message& message) {
  message = {};
  try {
    FieldReader::read(bytes, message);
    return true;
  } catch (const protozero::exception&) {
    return false;
  }
}

}  // namespace vamos::wire
