//! A JPEG of four inks, as print shops send them: a baseline encoder (ITU T.81) just large enough for it.
//!
//! No Rust crate under our licences writes CMYK. Quantisation steps of 2, no subsampling, and Huffman tables whose
//! codes all have one length, so that a symbol's code is its place in the table.

use std::f64::consts::PI;

use limen_models::image::RgbImage;

/// Categories of DC differences, 4 bits each.
const DC: [u8; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
/// Quantisation step of every coefficient.
const STEP: f64 = 2.0;

/// `image` as Adobe's CMYK: the inks are stored inverted, so that red, green, blue and "no black" are the samples.
pub fn adobe_cmyk_jpeg(image: &RgbImage) -> Vec<u8> {
    let (width, height) = (image.width() as u16, image.height() as u16);
    let mut out = vec![0xFF, 0xD8];
    // APP14 "Adobe": version 100, no flags, transform 0: the four components are inks as they are.
    segment(&mut out, 0xEE, &[b"Adobe".as_slice(), &[0, 100, 0, 0, 0, 0, 0]].concat());
    segment(&mut out, 0xDB, &[[0].as_slice(), &[STEP as u8; 64]].concat());
    let [w, h] = [width.to_be_bytes(), height.to_be_bytes()];
    let inks = [[1, 0x11, 0], [2, 0x11, 0], [3, 0x11, 0], [4, 0x11, 0]].concat();
    segment(&mut out, 0xC0, &[&[8], h.as_slice(), &w, &[4], &inks].concat());
    let table = |class: u8, bits: usize, symbols: &[u8]| {
        let mut counts = [0u8; 16];
        counts[bits - 1] = symbols.len() as u8;
        [&[class], counts.as_slice(), symbols].concat()
    };
    let ac = ac_symbols();
    segment(&mut out, 0xC4, &table(0x00, 4, &DC));
    segment(&mut out, 0xC4, &table(0x10, 8, &ac));
    segment(&mut out, 0xDA, &[4, 1, 0, 2, 0, 3, 0, 4, 0, 0, 63, 0]);
    let mut bits = Bits { out, held: 0, count: 0 };
    let mut before = [0i32; 4];
    for top in (0..image.height()).step_by(8) {
        for left in (0..image.width()).step_by(8) {
            for (ink, dc) in before.iter_mut().enumerate() {
                let block = coefficients(|x, y| {
                    let (x, y) = ((left + x).min(image.width() - 1), (top + y).min(image.height() - 1));
                    if ink < 3 { f64::from(image.pixel(x, y)[ink]) } else { 255.0 }
                });
                bits.block(&block, dc, &ac);
            }
        }
    }
    bits.put(0x7F, 7);
    let mut out = bits.out;
    out.extend([0xFF, 0xD9]);
    out
}

fn segment(out: &mut Vec<u8>, marker: u8, body: &[u8]) {
    out.extend([0xFF, marker]);
    out.extend((body.len() as u16 + 2).to_be_bytes());
    out.extend(body);
}

/// End of block, run of sixteen, and every (run, category 1 to 10): 162 symbols of 8 bits.
fn ac_symbols() -> Vec<u8> {
    let pairs = (0..16u8).flat_map(|run| (1..=10u8).map(move |size| run << 4 | size));
    [0x00, 0xF0].into_iter().chain(pairs).collect()
}

/// The 64 quantised coefficients of an 8x8 block in zigzag order.
fn coefficients(sample: impl Fn(usize, usize) -> f64) -> [i32; 64] {
    let mut out = [0; 64];
    for (place, (u, v)) in zigzag().into_iter().enumerate() {
        let mut sum = 0.0;
        for y in 0..8 {
            for x in 0..8 {
                let wave = |n: usize, k: usize| ((2 * n + 1) as f64 * k as f64 * PI / 16.0).cos();
                sum += (sample(x, y) - 128.0) * wave(x, u) * wave(y, v);
            }
        }
        let scale = |k: usize| if k == 0 { 0.5f64.sqrt() } else { 1.0 };
        out[place] = (sum * scale(u) * scale(v) / 4.0 / STEP).round() as i32;
    }
    out
}

/// (column, row) along the diagonals, up and down by turns.
fn zigzag() -> Vec<(usize, usize)> {
    let mut all: Vec<(usize, usize)> = (0..64).map(|i| (i % 8, i / 8)).collect();
    all.sort_by_key(|&(u, v)| (u + v, if (u + v) % 2 == 0 { u } else { v }));
    all
}

struct Bits {
    out: Vec<u8>,
    held: u32,
    count: u32,
}

impl Bits {
    fn put(&mut self, value: u32, length: u32) {
        for i in (0..length).rev() {
            self.held = self.held << 1 | (value >> i & 1);
            self.count += 1;
            if self.count == 8 {
                self.out.push(self.held as u8);
                if self.held == 0xFF {
                    self.out.push(0);
                }
                (self.held, self.count) = (0, 0);
            }
        }
    }

    fn block(&mut self, block: &[i32; 64], before: &mut i32, ac: &[u8]) {
        let difference = block[0] - *before;
        *before = block[0];
        let size = category(difference);
        self.put(size, 4);
        self.number(difference, size);
        let last = block.iter().rposition(|c| *c != 0).unwrap_or(0);
        let mut run = 0u8;
        for &value in &block[1..=last] {
            if value == 0 {
                run += 1;
                continue;
            }
            while run > 15 {
                self.symbol(0xF0, ac);
                run -= 16;
            }
            let size = category(value);
            self.symbol(run << 4 | size as u8, ac);
            self.number(value, size);
            run = 0;
        }
        if last < 63 {
            self.symbol(0x00, ac);
        }
    }

    fn symbol(&mut self, symbol: u8, ac: &[u8]) {
        let code = ac.iter().position(|s| *s == symbol).expect("every symbol is in the table");
        self.put(code as u32, 8);
    }

    /// A value in the bits of its category; negative ones are one less than their lowest bits.
    fn number(&mut self, value: i32, size: u32) {
        let value = if value < 0 { value + (1 << size) - 1 } else { value };
        self.put(value as u32, size);
    }
}

/// Bits of the magnitude.
fn category(value: i32) -> u32 {
    32 - value.unsigned_abs().leading_zeros()
}
