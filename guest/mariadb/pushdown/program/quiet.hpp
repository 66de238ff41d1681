#pragma once

#include <my_global.h>
#include <sql_class.h>

// What the evaluation of a condition or value by the server does besides its result. Rows that the host sorts
// out before it are not evaluated; rows behind one that turns out to be refused have been.
namespace vamos::mariadb::program {

// It sets variables, draws numbers, of sequences too, or calls functions: its own result may depend on the
// rows it has seen.
bool hasEffects(Item* condition);

// Evaluating the values and conditions of the statement for one row leaves something behind that can be seen
// when the statement has failed: variables, locks by name, values of sequences.
bool leavesTraces(LEX& statement);

// It has no effects, no row lets it warn or fail. False when in doubt.
bool isQuiet(Item* condition);

}  // namespace vamos::mariadb::program
