// SPDX-License-Identifier: GPL-3.0-or-later
// get_weather: a tool that needs no network and says the same of a city every time.
#pragma once

#include "app/chat/tool_registry.h"

namespace tandem::app {

/// Its weather is made up from the city's name, for trying tool calls out. One parameter, `city`.
[[nodiscard]] Tool demoWeatherTool();

}  // namespace tandem::app
