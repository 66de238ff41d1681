#pragma once

#include <my_global.h>
#include <sql_class.h>

// What the server's evaluation of a condition or value does besides giving a result. This counts because the
// server does not evaluate rows that the host filters out, and may have evaluated rows behind one that is
// refused later.
namespace vamos::mariadb::program {

// The condition sets variables, takes random numbers or values of sequences, or calls functions. Its own
// result may depend on the rows for which it was evaluated.
bool hasEffects(Item* condition);

// Evaluating the statement's values and conditions for a row leaves something that can be seen after the
// statement has failed: variables, locks by name, values of sequences.
bool leavesTraces(LEX& statement);

// The condition has no effects, and warns or fails for no row. Returns false when in doubt.
bool isQuiet(Item* condition);

}  // namespace vamos::mariadb::program
