// SPDX-License-Identifier: GPL-3.0-or-later
// tandem-engine parse-output: a model's text to reasoning, content and tool calls.
#pragma once

namespace tandem::tools {

int parseOutputCommand(int argc, char** argv);

}  // namespace tandem::tools
