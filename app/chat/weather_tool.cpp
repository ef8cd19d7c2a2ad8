// SPDX-License-Identifier: GPL-3.0-or-later
// Makes a city's weather from its name.
#include "app/chat/weather_tool.h"

#include <array>
#include <cstdint>

#include <QJsonArray>
#include <QJsonDocument>

namespace tandem::app {

namespace {

constexpr int kColdest = 2;
constexpr int kDegrees = 29;  // from kColdest to 30
constexpr std::array<const char*, 8>
    kConditions{"sunny", "cloudy", "rainy", "windy", "foggy", "clear", "overcast", "partly cloudy"};

/// FNV-1a: qHash() differs from one process to the next.
std::uint32_t hashOf(const QByteArray& name) {
  std::uint32_t hash = 2166136261U;
  for (const char letter : name) {
    hash = (hash ^ static_cast<std::uint8_t>(letter)) * 16777619U;
  }
  return hash;
}

/// `text` as a JSON string with its quotes.
QString quoted(const QString& text) {
  const QByteArray list =
      QJsonDocument(QJsonArray{text}).toJson(QJsonDocument::Compact);  // ["text"]
  return QString::fromUtf8(list.sliced(1, list.size() - 2));
}

QString weatherIn(const QJsonObject& arguments) {
  const QString city = arguments[u"city"].toString().simplified();
  if (city.isEmpty()) {
    return toolError(QStringLiteral("city is missing"));
  }
  const std::uint32_t hash = hashOf(city.toCaseFolded().toUtf8());
  const int degrees = kColdest + static_cast<int>(hash % kDegrees);
  // Other bits than those of the degrees, so that not every cold city is foggy.
  const char* condition = kConditions[(hash >> 16) % kConditions.size()];
  return QStringLiteral(R"({"city": %1, "temperature_c": %2, "condition": "%3"})")
      .arg(quoted(city), QString::number(degrees), QLatin1String(condition));
}

}  // namespace

Tool demoWeatherTool() {
  return {QStringLiteral("get_weather"),
          R"({"type": "function", "function": {"name": "get_weather", )"
          R"("description": "Get the current weather for a city.", "parameters": )"
          R"({"type": "object", "properties": {"city": {"type": "string", )"
          R"("description": "City name"}}, "required": ["city"]}}})",
          weatherIn};
}

}  // namespace tandem::app
