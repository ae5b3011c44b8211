//! Plots as SVG.

use crate::sweep::Point;
use plotters::prelude::*;
use std::path::Path;

/// Size of a plot in pixels.
const SIZE: (u32, u32) = (860, 480);

type Line<'a> = (&'a str, RGBColor, Vec<(f64, f64)>);

/// Why a plot could not be drawn.
#[derive(Debug, thiserror::Error)]
#[error("{path} could not be drawn: {reason}")]
pub struct PlotError {
    path: String,
    reason: String,
}

/// Draws charged calls, staleness, gossip and the time that gossip takes against fleet size.
///
/// # Errors
/// A file can't be written.
pub fn draw_all(directory: &Path, points: &[Point]) -> Result<(), PlotError> {
    let line = |value: &dyn Fn(&Point) -> f64| -> Vec<(f64, f64)> {
        points.iter().map(|point| (f64::from(point.nodes), value(point))).collect()
    };
    let hourly = |point: &Point, count: u64| point.report.hourly(count);
    draw(
        &directory.join("calls.svg"),
        ("Calls an hour against fleet size", "calls an hour"),
        &[
            ("without ghmesh, all charged", RED, line(&|point| hourly(point, point.report.without.calls))),
            ("with ghmesh", BLUE, line(&|point| hourly(point, point.report.calls))),
            (
                "of these after the first minute",
                CYAN,
                line(&|point| hourly(point, point.report.calls - point.report.cold_calls)),
            ),
            ("with ghmesh, charged", BLACK, line(&|point| hourly(point, point.report.charged))),
            ("changes", GREEN, line(&|point| hourly(point, point.report.versions))),
        ],
    )?;
    draw(
        &directory.join("staleness.svg"),
        ("Staleness against fleet size", "seconds, and percent"),
        &[
            ("answers outdated, %", BLACK, line(&|point| point.report.outdated_permille() as f64 / 10.0)),
            ("outdated for, p50 s", BLUE, line(&|point| point.report.outdated_ms.percentile(50) as f64 / 1000.0)),
            ("outdated for, p99 s", RED, line(&|point| point.report.outdated_ms.percentile(99) as f64 / 1000.0)),
        ],
    )?;
    let of_presence =
        |point: &Point| point.report.traffic.presence_bytes as f64 / point.report.traffic.node_seconds.max(1) as f64;
    draw(
        &directory.join("gossip.svg"),
        ("Gossip that a node sends against fleet size", "bytes a second"),
        &[
            ("the bound", RED, line(&|point| point.bound)),
            ("all", BLACK, line(&|point| point.report.traffic.gossip_bytes_per_node_second())),
            ("of it presence", BLUE, line(&of_presence)),
        ],
    )?;
    draw(
        &directory.join("spread.svg"),
        ("From publishing a record until the last node has it", "milliseconds"),
        &[
            ("p50", BLACK, line(&|point| point.report.traffic.spread_us.percentile(50) as f64 / 1000.0)),
            ("p99", RED, line(&|point| point.report.traffic.spread_us.percentile(99) as f64 / 1000.0)),
        ],
    )
}

/// One plot, both axes by powers of ten.
fn draw(path: &Path, (title, unit): (&str, &str), lines: &[Line<'_>]) -> Result<(), PlotError> {
    let failed = |reason: String| PlotError { path: path.display().to_string(), reason };
    let values = || lines.iter().flat_map(|(_, _, points)| points.iter().copied()).filter(|(_, value)| *value > 0.0);
    let least = values().map(|(_, value)| value).fold(f64::INFINITY, f64::min) / 2.0;
    let most = values().map(|(_, value)| value).fold(1.0, f64::max) * 2.0;
    let (first, last) =
        (values().map(|(x, _)| x).fold(f64::INFINITY, f64::min), values().map(|(x, _)| x).fold(1.0, f64::max));
    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    area.fill(&WHITE).map_err(|error| failed(error.to_string()))?;
    let mut chart = ChartBuilder::on(&area)
        .caption(title, ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(80)
        .build_cartesian_2d((first..last * 1.05).log_scale(), (least.max(1e-3)..most).log_scale())
        .map_err(|error| failed(error.to_string()))?;
    chart
        .configure_mesh()
        .x_desc("nodes")
        .y_desc(unit)
        .light_line_style(TRANSPARENT)
        .draw()
        .map_err(|error| failed(error.to_string()))?;
    for (name, colour, points) in lines {
        let shown: Vec<_> = points.iter().copied().filter(|(_, value)| *value > 0.0).collect();
        let drawn = chart.draw_series(LineSeries::new(shown, colour.stroke_width(2)).point_size(3));
        let drawn = drawn.map_err(|error| failed(error.to_string()))?;
        let colour = *colour;
        drawn.label(*name).legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .draw()
        .map_err(|error| failed(error.to_string()))?;
    area.present().map_err(|error| failed(error.to_string()))
}
