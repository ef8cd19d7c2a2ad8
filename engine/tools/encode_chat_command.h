// SPDX-License-Identifier: GPL-3.0-or-later
// tandem-engine encode-chat: conversations to prompts and token ids.
#pragma once

namespace tandem::tools {

int encodeChatCommand(int argc, char** argv);

}  // namespace tandem::tools
