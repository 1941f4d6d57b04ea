//! Tests of the augmentations together: seeds, shares, shifts.

use super::*;
use crate::dataset::crop::{HEIGHT, WIDTH};
use limen_models::manifest::Alignment;

/// The template's landmarks in a 96x112 crop.
pub(crate) fn faces_points() -> [[f32; 2]; 5] {
    Alignment::SPHEREFACE_112X96.points
}

/// A crop whose pixels tell their place: red is the column, green the row.
fn places(margin: usize) -> (RgbImage, Crops) {
    let crops = Crops::with_margin(margin);
    let data = (0..crops.height)
        .flat_map(|y| (0..crops.width).flat_map(move |x| [x as u8, y as u8, (x * y % 251) as u8]))
        .collect();
    (RgbImage::new(crops.width, crops.height, data).unwrap(), crops)
}

fn everything() -> Augment {
    Augment {
        mirror: 0.5,
        shift: Some(Shift { probability: 0.5, max_px: 8 }),
        low_resolution: Some(LowResolution { probability: 0.5, ..LowResolution::default() }),
        blur: Some(Blur { probability: 0.5, ..Blur::default() }),
        photometric: Some(Photometric { probability: 0.5, ..Photometric::default() }),
        occlusion: Some(Occlusion { probability: 0.5, ..Occlusion::default() }),
        mask: Some(Mask { probability: 0.5, ..Mask::default() }),
        glasses: Some(Glasses { probability: 0.5, ..Glasses::default() }),
    }
}

#[test]
fn the_same_seed_and_number_give_the_same_picture() {
    let (image, crops) = places(8);
    let a = everything();
    let run = |seed, number| {
        let v = a.view(image.clone(), &crops, seed, number);
        (v.image.data().to_vec(), v.x, v.y, v.mirrored)
    };
    let mut differ = 0;
    for number in 0..20 {
        assert_eq!(run(4, number), run(4, number));
        differ += u32::from(run(4, number) != run(5, number));
        differ += u32::from(run(4, number) != run(4, number + 1));
    }
    assert!(differ >= 38, "{differ} of 40");
}

#[test]
fn one_augmentation_does_not_move_the_draws_of_another() {
    let (image, crops) = places(8);
    let alone = Augment { shift: everything().shift, ..Augment::default() };
    for number in 0..50 {
        let a = alone.view(image.clone(), &crops, 1, number);
        let b = everything().view(image.clone(), &crops, 1, number);
        assert_eq!(a.mirrored, b.mirrored);
    }
}

#[test]
fn half_are_mirrored_and_the_default_changes_nothing_else() {
    let (image, crops) = places(8);
    let mut mirrored = 0u32;
    for number in 0..4000 {
        let v = Augment::default().view(image.clone(), &crops, 1, number);
        assert_eq!((v.x, v.y), (8, 8));
        assert_eq!(v.image, image);
        mirrored += u32::from(v.mirrored);
    }
    // Standard deviation sqrt(4000) / 2 = 32: five of them.
    assert!(mirrored.abs_diff(2000) < 160, "{mirrored}");
}

#[test]
fn shifts_fill_their_range_evenly_and_keep_their_share() {
    let (image, crops) = places(3);
    let a = Augment { shift: Some(Shift { probability: 0.5, max_px: 2 }), ..Augment::NONE };
    let mut hits = [[0u32; 7]; 7];
    for number in 0..5000 {
        let v = a.view(image.clone(), &crops, 1, number);
        hits[v.y][v.x] += 1;
    }
    // 2500 stay at (3, 3), 2500 fall on 25 places of 1..=5, (3, 3) among them: 100 each, standard deviation 10.
    assert!(hits[3][3].abs_diff(2600) < 180, "{}", hits[3][3]);
    for (y, row) in hits.iter().enumerate() {
        for (x, &n) in row.iter().enumerate().filter(|(x, _)| (*x, y) != (3, 3)) {
            let inside = (1..=5).contains(&x) && (1..=5).contains(&y);
            assert!(if inside { n.abs_diff(100) < 50 } else { n == 0 }, "({x}, {y}): {n}");
        }
    }
}

#[test]
fn a_changed_crop_is_cut_where_the_shift_says() {
    let (image, crops) = places(8);
    // Occlusion that never comes: the crop is cut, nothing else.
    let never = Some(Occlusion { probability: 0.0, ..Occlusion::default() });
    let a = Augment { shift: everything().shift, occlusion: never, ..Augment::NONE };
    let b = Augment { shift: everything().shift, ..Augment::NONE };
    for number in 0..30 {
        let (cut, whole) =
            (a.view(image.clone(), &crops, 2, number), b.view(image.clone(), &crops, 2, number));
        assert_eq!((cut.image.width(), cut.image.height(), cut.x, cut.y), (WIDTH, HEIGHT, 0, 0));
        assert_eq!(cut.image.pixel(0, 0)[..2], [whole.x as u8, whole.y as u8]);
        assert_eq!(cut.image.pixel(95, 111)[..2], [whole.x as u8 + 95, whole.y as u8 + 111]);
    }
}

#[test]
fn fewer_pixels_mean_less_detail_and_the_same_size() {
    let noise: Vec<u8> = (0..96 * 112 * 3u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let face = RgbImage::new(96, 112, noise).unwrap();
    let detail = |f: &RgbImage| -> u64 {
        f.data().windows(4).map(|w| u64::from(w[0].abs_diff(w[3]))).sum::<u64>() / f.data().len() as u64
    };
    let low = LowResolution { probability: 1.0, side: [0.2, 0.3] };
    for number in 0..10 {
        let out = low.apply(face.clone(), &mut Dice::new(1, Purpose::LowResolution, number));
        assert_eq!((out.width(), out.height()), (96, 112));
        assert!(detail(&out) * 2 < detail(&face), "{number}: {} of {}", detail(&out), detail(&face));
    }
}

#[test]
fn each_bad_number_names_its_field() {
    let crops = Crops::with_margin(2);
    assert!(Augment::default().validate(&crops).is_ok());
    let bad = |word: &str, a: Augment| {
        let error = a.validate(&crops).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    };
    let d = Augment::default();
    bad("augment.mirror", Augment { mirror: 1.5, ..d });
    bad("augment.mirror", Augment { mirror: f32::NAN, ..d });
    bad("--margin 3", Augment { shift: Some(Shift { probability: 0.5, max_px: 3 }), ..d });
    bad("blur.sigma_px", Augment { blur: Some(Blur { sigma_px: [2.0, 1.0], ..Blur::default() }), ..d });
    let side = [0.0, 1.0];
    bad(
        "low_resolution.side",
        Augment { low_resolution: Some(LowResolution { probability: 1.0, side }), ..d },
    );
    let contrast = 1.0;
    bad(
        "photometric.contrast",
        Augment { photometric: Some(Photometric { contrast, ..Photometric::default() }), ..d },
    );
    bad("mask.edge", Augment { mask: Some(Mask { edge: [0.0, 9.0], ..Mask::default() }), ..d });
    bad(
        "occlusion.area",
        Augment { occlusion: Some(Occlusion { area: [0.0, 0.1], ..Occlusion::default() }), ..d },
    );
    bad(
        "glasses.radius",
        Augment { glasses: Some(Glasses { radius: [0.0, 0.1], ..Glasses::default() }), ..d },
    );
}

#[test]
fn the_configuration_takes_defaults_and_refuses_unknown_words() {
    let a: Augment = toml::from_str("mirror = 0.25\n[blur]\nprobability = 0.3\n[shift]\n").unwrap();
    assert_eq!(a.mirror, 0.25);
    assert_eq!(a.blur, Some(Blur { probability: 0.3, ..Blur::default() }));
    assert_eq!((a.shift, a.mask), (Some(Shift::default()), None));
    assert!(toml::from_str::<Augment>("mirrored = 0.25").unwrap_err().to_string().contains("mirrored"));
    assert!(
        toml::from_str::<Augment>("[blur]\nsigma = [1.0, 2.0]").unwrap_err().to_string().contains("sigma")
    );
}

#[test]
fn the_guide_shows_the_defaults() {
    let guide = include_str!("../../../../docs/guide/data.md");
    let shown = guide.split("```toml\n").nth(1).and_then(|t| t.split("```").next()).unwrap();
    let all = Augment {
        mirror: 0.5,
        shift: Some(Shift::default()),
        low_resolution: Some(LowResolution::default()),
        blur: Some(Blur::default()),
        photometric: Some(Photometric::default()),
        occlusion: Some(Occlusion::default()),
        mask: Some(Mask::default()),
        glasses: Some(Glasses::default()),
    };
    assert_eq!(toml::from_str::<Augment>(shown).unwrap(), all);
}
