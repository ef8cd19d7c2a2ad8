// SPDX-License-Identifier: GPL-3.0-or-later
// The palettes keep the contrast of WCAG 2 and stay apart with every kind of colour vision.
#include "ui/theme/palette.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include <QTest>

namespace tandem::test {

namespace {

using ui::Palette;
using Vector = std::array<double, 3>;

double linear(double channel) {
  return channel <= 0.04045 ? channel / 12.92 : std::pow((channel + 0.055) / 1.055, 2.4);
}

Vector linearRgb(const QColor& color) {
  return {linear(color.redF()), linear(color.greenF()), linear(color.blueF())};
}

/// WCAG 2.2, relative luminance.
double luminance(const QColor& color) {
  const Vector rgb = linearRgb(color);
  return 0.2126 * rgb[0] + 0.7152 * rgb[1] + 0.0722 * rgb[2];
}

/// WCAG 2.2, contrast ratio.
double contrast(const QColor& a, const QColor& b) {
  const double brighter = std::max(luminance(a), luminance(b));
  const double darker = std::min(luminance(a), luminance(b));
  return (brighter + 0.05) / (darker + 0.05);
}

/// Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB; the first is normal sight.
constexpr std::array<std::array<Vector, 3>, 4> kVisions{{
    {{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}},
    {{{0.152286, 1.052583, -0.204868},
      {0.114503, 0.786281, 0.099216},
      {-0.003882, -0.048116, 1.051998}}},
    {{{0.367322, 0.860646, -0.227968},
      {0.280085, 0.672501, 0.047413},
      {-0.011820, 0.042940, 0.968881}}},
    {{{1.255528, -0.076749, -0.178779},
      {-0.078411, 0.930809, 0.147602},
      {0.004733, 0.691367, 0.303900}}},
}};

Vector seenWith(const std::array<Vector, 3>& vision, const QColor& color) {
  const Vector rgb = linearRgb(color);
  Vector seen{};
  for (std::size_t row = 0; row < 3; ++row) {
    for (std::size_t column = 0; column < 3; ++column) {
      seen[row] += vision[row][column] * rgb[column];
    }
    seen[row] = std::clamp(seen[row], 0.0, 1.0);
  }
  return seen;
}

/// CIE L*a*b* under D65.
Vector lab(const Vector& rgb) {
  const auto f = [](double t) {
    return t > 216.0 / 24389 ? std::cbrt(t) : (24389.0 / 27 * t + 16) / 116;
  };
  const double x = f((0.4124564 * rgb[0] + 0.3575761 * rgb[1] + 0.1804375 * rgb[2]) / 0.95047);
  const double y = f(0.2126729 * rgb[0] + 0.7151522 * rgb[1] + 0.0721750 * rgb[2]);
  const double z = f((0.0193339 * rgb[0] + 0.1191920 * rgb[1] + 0.9503041 * rgb[2]) / 1.08883);
  return {116 * y - 16, 500 * (x - y), 200 * (y - z)};
}

double degrees(double radians) {
  return radians * 180 / std::numbers::pi;
}
double radians(double angle) {
  return angle * std::numbers::pi / 180;
}

double hue(double b, double a) {
  const double angle = degrees(std::atan2(b, a));
  return angle < 0 ? angle + 360 : angle;
}

/// CIEDE2000 with unit weights (Sharma, Wu and Dalal 2005).
double difference(const Vector& one, const Vector& two) {
  const double meanChroma = (std::hypot(one[1], one[2]) + std::hypot(two[1], two[2])) / 2;
  const double seventh = std::pow(meanChroma, 7);
  const double g = 0.5 * (1 - std::sqrt(seventh / (seventh + std::pow(25.0, 7))));
  const double a1 = one[1] * (1 + g);
  const double a2 = two[1] * (1 + g);
  const double c1 = std::hypot(a1, one[2]);
  const double c2 = std::hypot(a2, two[2]);
  const double h1 = hue(one[2], a1);
  const double h2 = hue(two[2], a2);
  double turn = 0;
  if (c1 * c2 > 0) {
    turn = h2 - h1;
    turn += turn > 180 ? -360 : turn < -180 ? 360 : 0;
  }
  double meanHue = h1 + h2;
  if (c1 * c2 > 0) {
    meanHue = std::abs(h1 - h2) <= 180 ? meanHue / 2 : (meanHue + (meanHue < 360 ? 360 : -360)) / 2;
  }
  const double meanL = (one[0] + two[0]) / 2;
  const double meanC = (c1 + c2) / 2;
  const double t =
      1 - 0.17 * std::cos(radians(meanHue - 30)) + 0.24 * std::cos(radians(2 * meanHue)) +
      0.32 * std::cos(radians(3 * meanHue + 6)) - 0.20 * std::cos(radians(4 * meanHue - 63));
  const double middle = (meanL - 50) * (meanL - 50);
  const double dl = (two[0] - one[0]) / (1 + 0.015 * middle / std::sqrt(20 + middle));
  const double dc = (c2 - c1) / (1 + 0.045 * meanC);
  const double dh = 2 * std::sqrt(c1 * c2) * std::sin(radians(turn / 2)) / (1 + 0.015 * meanC * t);
  const double chroma7 = std::pow(meanC, 7);
  const double rotation = -2 * std::sqrt(chroma7 / (chroma7 + std::pow(25.0, 7))) *
                          std::sin(radians(60 * std::exp(-std::pow((meanHue - 275) / 25, 2))));
  return std::sqrt(dl * dl + dc * dc + dh * dh + rotation * dc * dh);
}

struct Named {
  const char* name;
  QColor Palette::*color;
};

constexpr Named kGrounds[] = {{"ground", &Palette::ground},
                              {"card", &Palette::card},
                              {"raised", &Palette::raised}};
constexpr Named kTexts[] = {{"strong", &Palette::textStrong},
                            {"normal", &Palette::textNormal},
                            {"quiet", &Palette::textQuiet},
                            {"link", &Palette::link}};
constexpr Named kStatus[] = {{"good", &Palette::good},
                             {"caution", &Palette::caution},
                             {"bad", &Palette::bad},
                             {"busy", &Palette::busy},
                             {"off", &Palette::off}};
constexpr Named kSeries[] = {{"head", &Palette::head},
                             {"worker", &Palette::worker},
                             {"prefill", &Palette::prefill},
                             {"decode", &Palette::decode},
                             {"total", &Palette::total}};
constexpr Named kOutlines[] = {{"outline", &Palette::outline}, {"accent", &Palette::accent}};

template <std::size_t N>
void requireContrast(const Palette& palette, const Named (&colors)[N], double least) {
  for (const Named& color : colors) {
    for (const Named& ground : kGrounds) {
      const double ratio = contrast(palette.*color.color, palette.*ground.color);
      QVERIFY2(ratio >= least,
               qPrintable(QStringLiteral("%1 on %2: %3, needed %4")
                              .arg(QLatin1String(color.name), QLatin1String(ground.name))
                              .arg(ratio)
                              .arg(least)));
    }
  }
}

template <std::size_t N>
void requireApart(const Palette& palette, const Named (&colors)[N], double least) {
  for (const auto& vision : kVisions) {
    for (std::size_t i = 0; i < N; ++i) {
      for (std::size_t j = i + 1; j < N; ++j) {
        const double apart = difference(lab(seenWith(vision, palette.*colors[i].color)),
                                        lab(seenWith(vision, palette.*colors[j].color)));
        QVERIFY2(apart >= least,
                 qPrintable(QStringLiteral("%1 and %2: %3, needed %4")
                                .arg(QLatin1String(colors[i].name), QLatin1String(colors[j].name))
                                .arg(apart)
                                .arg(least)));
      }
    }
  }
}

}  // namespace

class PaletteTest : public QObject {
  Q_OBJECT

 private slots:
  void contrastOfBlackAndWhiteIs21();
  void differenceMatchesPublishedPairs_data();
  void differenceMatchesPublishedPairs();
  void textsAndStatesAreReadable_data() { themes(); }
  void textsAndStatesAreReadable();
  void statesAndSeriesStayApart_data() { themes(); }
  void statesAndSeriesStayApart();

 private:
  static void themes();
};

void PaletteTest::themes() {
  QTest::addColumn<int>("mode");
  QTest::newRow("dark") << int(ui::ThemeMode::Dark);
  QTest::newRow("light") << int(ui::ThemeMode::Light);
}

void PaletteTest::contrastOfBlackAndWhiteIs21() {
  QCOMPARE(contrast(Qt::black, Qt::white), 21.0);
}

void PaletteTest::differenceMatchesPublishedPairs_data() {
  QTest::addColumn<double>("l1");
  QTest::addColumn<double>("a1");
  QTest::addColumn<double>("b1");
  QTest::addColumn<double>("l2");
  QTest::addColumn<double>("a2");
  QTest::addColumn<double>("b2");
  QTest::addColumn<double>("expected");
  // Test data of Sharma, Wu and Dalal 2005, table 1, pairs 1, 7, 17 and 25.
  QTest::newRow("blue") << 50. << 2.6772 << -79.7751 << 50. << 0. << -82.7485 << 2.0425;
  QTest::newRow("near grey") << 50. << 0. << 0. << 50. << -1. << 2. << 2.3669;
  QTest::newRow("far apart") << 50. << 2.5 << 0. << 73. << 25. << -18. << 27.1492;
  QTest::newRow("green") << 60.2574 << -34.0099 << 36.2677 << 60.4626 << -34.1751 << 39.4387
                         << 1.2644;
}

void PaletteTest::differenceMatchesPublishedPairs() {
  QFETCH(double, l1);
  QFETCH(double, a1);
  QFETCH(double, b1);
  QFETCH(double, l2);
  QFETCH(double, a2);
  QFETCH(double, b2);
  QFETCH(double, expected);
  // The table gives four decimals.
  QVERIFY(std::abs(difference({l1, a1, b1}, {l2, a2, b2}) - expected) <= 0.5e-4);
}

void PaletteTest::textsAndStatesAreReadable() {
  QFETCH(int, mode);
  const Palette& palette = ui::paletteOf(ui::ThemeMode(mode));
  requireContrast(palette, kTexts, 4.5);
  requireContrast(palette, kStatus, 4.5);
  requireContrast(palette, kSeries, 3.0);
  requireContrast(palette, kOutlines, 3.0);
  QVERIFY(contrast(palette.onAccent, palette.accent) >= 4.5);
  QVERIFY(contrast(palette.onDanger, palette.danger) >= 4.5);
  // Text on the tints that the style sheet and the timeline make of these colours.
  for (const Named& series : kSeries) {
    const QColor bar = ui::blended(palette.*series.color, palette.card, 0.32);
    QVERIFY2(contrast(palette.textStrong, bar) >= 4.5, series.name);
  }
}

void PaletteTest::statesAndSeriesStayApart() {
  QFETCH(int, mode);
  const Palette& palette = ui::paletteOf(ui::ThemeMode(mode));
  requireApart(palette, kStatus, 15);
  requireApart(palette, kSeries, 15);
}

}  // namespace tandem::test

QTEST_APPLESS_MAIN(tandem::test::PaletteTest)
#include "palette_test.moc"
