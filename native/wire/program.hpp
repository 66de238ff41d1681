#pragma once

#include "protocol/limits.hpp"
#include "protocol/tables_enums.hpp"

namespace vamos {

// The instructions of programs. src/protocol/FORMATS.md says what each takes and gives.
using Instruction = wire::ProgramInstruction;
using ValueType = wire::ProgramValueType;

}  // namespace vamos
