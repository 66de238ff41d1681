#pragma once

#include <my_global.h>
#include <sql_class.h>

// What the evaluation of a condition by the server does besides its result: rows that the host sorts out
// before it are not evaluated.
namespace vamos::mariadb::program {

// It sets variables, draws numbers, of sequences too, or calls functions: its own result may depend on the
// rows it has seen.
bool hasEffects(Item* condition);

// It has no effects, no row lets it warn or fail. False when in doubt.
bool isQuiet(Item* condition);

}  // namespace vamos::mariadb::program
