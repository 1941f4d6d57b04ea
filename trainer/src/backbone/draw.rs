//! A network drawn as SVG: one box a layer from top to bottom, skips as arcs, shapes beside them (the way the paper's
//! authors show their nets).

use std::fmt::Write;

use crate::backbone::table::rows;
use crate::graph::{GraphError, InputShape, Network, Op};

/// Height of a layer's row, px.
const ROW: usize = 26;
/// Left edge of the boxes, px.
const LEFT: usize = 90;
/// Width of the boxes, px.
const BOX: usize = 250;
/// Width of the drawing, px.
const WIDTH: usize = 620;
/// Above the first row, px.
const TOP: usize = 64;

/// The drawing of `network` on an image of `input`.
///
/// # Errors
/// When a layer does not fit.
pub fn svg(network: &Network, input: InputShape) -> Result<String, GraphError> {
    let rows = rows(network, input)?;
    let counts = network.counts(input)?;
    let height = TOP + ROW * (rows.len() + 1) + 20;
    let mut s = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text x=\"{LEFT}\" y=\"26\" font-size=\"17\" font-weight=\"bold\">{}</text>\n\
         <text x=\"{LEFT}\" y=\"46\" fill=\"#555555\">{} parameters, {:.1} million multiplications a face</text>\n",
        escaped(&network.name),
        counts.parameters,
        counts.macs as f64 / 1e6
    );
    // Writing to a String cannot fail.
    let _ = boxed(
        &mut s,
        0,
        "#eeeeee",
        &network.input_name,
        "input",
        &crate::graph::Shape::from(input).to_string(),
    );
    for (i, (row, node)) in rows.iter().zip(network.nodes()).enumerate() {
        let _ = boxed(&mut s, i + 1, colour(&node.op), &row.name, &row.what, &row.shape.to_string());
        for from in node.inputs.iter().map(|id| id.index()) {
            let (y0, y1) = (middle(from), middle(i + 1));
            let _ = if from == i {
                let x = LEFT + BOX / 2;
                writeln!(
                    s,
                    "<line x1=\"{x}\" y1=\"{}\" x2=\"{x}\" y2=\"{}\" stroke=\"#888888\"/>",
                    y0 + 10,
                    y1 - 10
                )
            } else {
                // The skip of a residual unit, to the left of the boxes.
                let out = LEFT - 14 - (10 * (i + 1 - from)).min(60);
                writeln!(
                    s,
                    "<path d=\"M {LEFT} {y0} C {out} {y0}, {out} {y1}, {LEFT} {y1}\" fill=\"none\" stroke=\"#c04000\" \
                     stroke-width=\"1.5\"/>"
                )
            };
        }
    }
    s.push_str("</svg>\n");
    Ok(s)
}

fn middle(row: usize) -> usize {
    TOP + ROW * row + ROW / 2
}

fn boxed(s: &mut String, row: usize, fill: &str, name: &str, what: &str, shape: &str) -> std::fmt::Result {
    let y = middle(row);
    writeln!(
        s,
        "<rect x=\"{LEFT}\" y=\"{}\" width=\"{BOX}\" height=\"20\" rx=\"3\" fill=\"{fill}\" stroke=\"#666666\"/>\
         <text x=\"{}\" y=\"{}\">{}</text><text x=\"{}\" y=\"{}\" text-anchor=\"end\" fill=\"#333333\">{}</text>\
         <text x=\"{}\" y=\"{}\" fill=\"#555555\">{}</text>",
        y - 10,
        LEFT + 8,
        y + 4,
        escaped(name),
        LEFT + BOX - 8,
        y + 4,
        escaped(what),
        LEFT + BOX + 16,
        y + 4,
        escaped(shape)
    )
}

fn colour(op: &Op) -> &'static str {
    match op {
        Op::Conv2d(c) if c.groups > 1 => "#cfe3ff",
        Op::Conv2d(c) if c.stride.height > 1 => "#9cc3f5",
        Op::Conv2d(_) => "#cfe3ff",
        Op::BatchNorm(_) => "#fff3c4",
        Op::PRelu { .. } | Op::Relu | Op::Clip { .. } => "#d8f0d3",
        Op::Add => "#ffd9c7",
        Op::Gemm(_) => "#e0d4f5",
        Op::MaxPool(_) | Op::Flatten | Op::Softmax { .. } => "#eeeeee",
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backbone::{Depth, INPUT, Spec};

    #[test]
    fn every_layer_is_drawn_and_every_sum_has_its_skip() {
        let net = Spec::published(Depth::D20).build(1).unwrap();
        let drawing = svg(&net, INPUT).unwrap();
        for node in net.nodes() {
            assert!(drawing.contains(&format!(">{}<", node.name)), "{}", node.name);
        }
        assert_eq!(drawing.matches("<path").count(), 8);
        assert_eq!(drawing.matches("<svg").count(), drawing.matches("</svg>").count());
    }
}
