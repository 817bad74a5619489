use super::*;

fn at(directory: &Path) -> Place {
    Place(directory.to_owned())
}

fn game(directory: &Path) -> Game {
    Game { world: World::default(), place: at(directory) }
}

#[test]
fn a_world_is_found_again() {
    let directory = tempfile::tempdir().unwrap();
    let mut game = game(directory.path());
    let mut random = Random::new();
    for _ in 0..500 {
        game.world.pass(&mut random);
        assert_eq!(World::parse(&game.world.to_string()).as_ref(), Some(&game.world));
    }
    assert!(game.save().starts_with("saved day 500 to "));
    assert_eq!(at(directory.path()).load().unwrap(), (game.world, None));
}

#[test]
fn everybody_fits_into_a_save() {
    let world = World { day: u64::MAX, villagers: NAMES.to_vec() };
    assert!(u64::try_from(world.to_string().len()).unwrap() <= LONGEST_SAVE);
}

#[test]
fn what_is_no_save_is_put_aside_and_kept() {
    let directory = tempfile::tempdir().unwrap();
    let whole = World { day: 7, villagers: vec!["Ada", "Bo"] }.to_string();
    let mut damaged: Vec<Vec<u8>> = (0..whole.len()).map(|end| whole.as_bytes()[..end].to_vec()).collect();
    damaged.push(whole.replace("Bo", "Ada").into_bytes());
    damaged.push(whole.replace('7', "99999999999999999999").into_bytes());
    damaged.push([whole.as_bytes(), b"more\n"].concat());
    damaged.push(vec![0xff; 1 << 20]);
    for (n, bytes) in damaged.iter().enumerate() {
        let place = at(directory.path());
        fs::write(place.save(), bytes).unwrap();
        let (world, said) = place.load().unwrap();
        assert_eq!(world, World::default());
        assert!(said.unwrap().contains("is damaged: put aside"));
        let aside = directory.path().join(format!("village.damaged-{}", n + 1));
        assert_eq!(&fs::read(aside).unwrap(), bytes);
        assert!(!place.save().exists());
    }
}

#[test]
fn a_save_that_fails_is_said_and_leaves_the_last_one() {
    let directory = tempfile::tempdir().unwrap();
    let mut game = game(directory.path());
    game.save();
    game.world.day = 3;
    fs::create_dir(directory.path().join("village.new")).unwrap();
    let (said, next) = game.obey("save");
    assert!(said.starts_with("could not save: "), "{said}");
    assert_eq!(next, Next::GoOn);
    assert_eq!(at(directory.path()).load().unwrap().0.day, 0);
}

#[test]
fn commands_are_answered() {
    let directory = tempfile::tempdir().unwrap();
    let game = game(directory.path());
    assert_eq!(game.obey("list"), ("nobody is here".to_owned(), Next::GoOn));
    assert_eq!(game.obey("say hello you\r\n").0, "<server> hello you");
    assert_eq!(game.obey("say \u{1b}[2Jboo").0, "<server> \u{fffd}[2Jboo");
    assert_eq!(game.obey("crash").1, Next::Crash(1));
    assert_eq!(game.obey("crash 42").1, Next::Crash(42));
    assert_eq!(game.obey("crash 256").1, Next::GoOn);
    assert_eq!(game.obey("quit").1, Next::Quit);
    assert_eq!(game.obey("\n"), (String::new(), Next::GoOn));
    assert!(game.obey("dance").0.starts_with("unknown command \"dance\""));
}

#[test]
fn any_bytes_are_lines_of_a_bounded_length() {
    let long = vec![b'x'; 10 * LONGEST_LINE];
    let input = [b"list\n\xff\xfe\0\n", long.as_slice(), b"\nhelp"].concat();
    let (mut input, mut lines) = (input.as_slice(), Vec::new());
    while let Some(line) = next_line(&mut input).unwrap() {
        lines.push(line);
    }
    assert_eq!(lines.len(), 4);
    assert_eq!((lines[0].as_str(), lines[1].as_str()), ("list\n", "\u{fffd}\u{fffd}\0\n"));
    assert_eq!((lines[2].len(), lines[3].as_str()), (LONGEST_LINE, "help"));
}
