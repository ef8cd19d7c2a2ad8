// SPDX-License-Identifier: GPL-3.0-or-later
// Formats quantities with thousands separators and fixed decimals.
#include "ui/widgets/quantity.h"

#include <cmath>

#include <QCoreApplication>
#include <QLocale>

#include "engine/base/byte_size.h"

namespace tandem::ui {

namespace {

QString tr(const char* text) {
  return QCoreApplication::translate("tandem::ui::Quantity", text);
}

}  // namespace

QString unknownQuantity() {
  return QStringLiteral("—");
}

QString durationText(double seconds) {
  if (seconds < 0.9995) {
    return tr("%1 ms").arg(std::lround(seconds * 1000));
  }
  if (seconds < 59.95) {
    return tr("%1 s").arg(seconds, 0, 'f', 1);
  }
  const long whole = std::lround(seconds);
  return tr("%1 min %2 s").arg(whole / 60).arg(whole % 60, 2, 10, QLatin1Char('0'));
}

QString rateText(double perSecond) {
  if (perSecond < 0.05) {
    return QStringLiteral("0");
  }
  if (perSecond < 100) {
    return QString::number(perSecond, 'f', 1);
  }
  return countText(std::llround(perSecond));
}

QString countText(std::int64_t count) {
  return QLocale(QLocale::English).toString(count);
}

QString percentText(std::optional<double> share) {
  return share ? tr("%1 %").arg(std::lround(*share * 100)) : unknownQuantity();
}

QString bytesText(std::uint64_t bytes) {
  return QString::fromStdString(formatBytes(bytes));
}

QString byteRateText(double bytesPerSecond) {
  return bytesPerSecond >= 1e8 ? tr("%1 GB/s").arg(bytesPerSecond / 1e9, 0, 'f', 2)
                               : tr("%1 MB/s").arg(bytesPerSecond / 1e6, 0, 'f', 1);
}

}  // namespace tandem::ui
