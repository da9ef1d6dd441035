use super::*;

const SESSION: Duration = Duration::from_secs(10);
const REBALANCE: Duration = Duration::from_secs(30);

struct Room {
    group: Group,
    now: Instant,
    ids: u32,
}

impl Room {
    fn new() -> Self {
        Self { group: Group::default(), now: Instant::now(), ids: 0 }
    }

    fn request(member_id: &str, instance: Option<&str>) -> Join {
        Join {
            member_id: member_id.to_owned(),
            instance: instance.map(str::to_owned),
            client_id: "client".to_owned(),
            client_host: "/127.0.0.1".to_owned(),
            session: SESSION,
            rebalance: REBALANCE,
            protocol_type: "consumer".to_owned(),
            protocols: vec![("range".to_owned(), Bytes::from_static(b"topics"))],
            id_first: false,
            may_skip: true,
        }
    }

    fn join(&mut self, join: Join) -> Result<Joining, ResponseError> {
        self.ids += 1;
        self.group.join(join, format!("m{}", self.ids), self.now)
    }

    /// Joins as a new member and returns its id.
    fn enter(&mut self, instance: Option<&str>) -> String {
        match self.join(Self::request("", instance)).unwrap() {
            Joining::Wait(id) => id,
            Joining::Again(id) => panic!("told to join again as {id}"),
        }
    }

    fn rejoin(&mut self, id: &str, instance: Option<&str>) {
        assert_eq!(self.join(Self::request(id, instance)), Ok(Joining::Wait(id.to_owned())));
    }

    fn joined(&self, id: &str, instance: Option<&str>) -> Joined {
        self.group.joined(Caller { member_id: id, instance }).unwrap().expect("the generation has formed")
    }

    fn assign(&mut self, leader: &str, instance: Option<&str>, to: &[&str]) {
        let assignments = to.iter().map(|id| ((*id).to_owned(), Bytes::from((*id).to_owned()))).collect();
        let generation = self.group.generation;
        self.group.assign(Caller { member_id: leader, instance }, generation, assignments, self.now).unwrap();
    }

    fn heartbeat(&mut self, id: &str) -> Result<(), ResponseError> {
        let generation = self.group.generation;
        self.group.heartbeat(caller(id), generation, self.now)
    }

    /// A stable group of one dynamic member.
    fn of_one() -> (Self, String) {
        let mut room = Self::new();
        let id = room.enter(None);
        room.assign(&id, None, &[&id]);
        (room, id)
    }
}

fn caller(id: &str) -> Caller<'_> {
    Caller { member_id: id, instance: None }
}

#[test]
fn one_member_forms_a_generation_and_gets_its_own_assignment() {
    let (mut room, id) = Room::of_one();
    let joined = room.joined(&id, None);
    assert_eq!((joined.generation, joined.leader.as_str(), joined.members.len()), (1, id.as_str(), 1));
    assert_eq!(room.group.assignment(caller(&id), 1, room.now), Ok(Some(Bytes::from(id))));
    assert_eq!(room.group.state(), State::Stable);
}

#[test]
fn a_second_member_waits_until_the_first_has_joined_again() {
    let (mut room, first) = Room::of_one();
    let second = room.enter(None);
    assert_eq!(room.group.joined(caller(&second)), Ok(None));
    assert_eq!(room.heartbeat(&first), Err(ResponseError::RebalanceInProgress));
    room.rejoin(&first, None);
    assert_eq!(room.joined(&first, None).members.len(), 2);
    assert_eq!(room.joined(&second, None).generation, 2);
    assert!(room.joined(&second, None).members.is_empty());
}

#[test]
fn an_answer_stands_even_if_the_next_generation_begins_to_form_before_it_is_fetched() {
    let (mut room, first) = Room::of_one();
    let second = room.enter(None);
    room.rejoin(&first, None);
    room.enter(None);
    assert_eq!(room.joined(&second, None).generation, 2);
    assert_eq!(room.group.assignment(caller(&second), 2, room.now), Err(ResponseError::RebalanceInProgress));
}

#[test]
fn a_client_that_asks_for_its_id_first_joins_with_it() {
    let mut room = Room::new();
    let first = Join { id_first: true, ..Room::request("", None) };
    let Joining::Again(id) = room.join(first).unwrap() else { panic!("expected an id") };
    room.rejoin(&id, None);
    assert_eq!(room.joined(&id, None).generation, 1);
}

#[test]
fn an_id_that_was_never_given_out_is_unknown() {
    let mut room = Room::new();
    assert_eq!(room.join(Room::request("stranger", None)), Err(ResponseError::UnknownMemberId));
}

#[test]
fn a_member_that_leaves_starts_a_rebalance_and_the_last_one_empties_the_group() {
    let (mut room, first) = Room::of_one();
    let second = room.enter(None);
    room.rejoin(&first, None);
    room.group.leave(caller(&second), room.now).unwrap();
    assert_eq!(room.group.state(), State::Preparing);
    room.group.leave(caller(&first), room.now).unwrap();
    assert_eq!(room.group.state(), State::Empty);
}

#[test]
fn a_silent_member_is_removed_when_its_session_ends() {
    let (mut room, id) = Room::of_one();
    room.now += SESSION / 2;
    room.heartbeat(&id).unwrap();
    room.now += SESSION / 2;
    assert!(!room.group.expire(room.now));
    room.now += SESSION / 2;
    assert!(room.group.expire(room.now));
    assert_eq!(room.heartbeat(&id), Err(ResponseError::UnknownMemberId));
}

#[test]
fn a_member_that_does_not_join_again_in_time_is_left_out() {
    let (mut room, first) = Room::of_one();
    let second = room.enter(None);
    room.now += REBALANCE;
    room.group.expire(room.now);
    assert_eq!(room.joined(&second, None).leader, second);
    assert_eq!(room.group.joined(caller(&first)), Err(ResponseError::UnknownMemberId));
}

#[test]
fn a_static_member_that_comes_back_gets_its_assignment_without_a_rebalance() {
    let mut room = Room::new();
    let (a, b) = (room.enter(Some("a")), "b");
    let b_id = room.enter(Some(b));
    room.rejoin(&a, Some("a"));
    room.assign(&a, Some("a"), &[&a, &b_id]);
    let back = room.enter(Some(b));
    assert_eq!(room.joined(&back, Some(b)).generation, 2);
    let assignment = room.group.assignment(Caller { member_id: &back, instance: Some(b) }, 2, room.now);
    assert_eq!(assignment, Ok(Some(Bytes::from(b_id.clone()))));
    let fenced = room.group.heartbeat(Caller { member_id: &b_id, instance: Some(b) }, 2, room.now);
    assert_eq!(fenced, Err(ResponseError::FencedInstanceId));
    assert_eq!(room.group.state(), State::Stable);
}

#[test]
fn a_static_leader_that_comes_back_skips_the_assignment() {
    let mut room = Room::new();
    let first = room.enter(Some("a"));
    room.assign(&first, Some("a"), &[&first]);
    let back = room.enter(Some("a"));
    let joined = room.joined(&back, Some("a"));
    assert!(joined.skip_assignment && joined.leader == back && joined.members.len() == 1);
    let old_client = Join { may_skip: false, ..Room::request("", Some("a")) };
    let Ok(Joining::Wait(again)) = room.join(old_client) else { panic!("expected to wait") };
    let joined = room.joined(&again, Some("a"));
    assert!(!joined.skip_assignment && joined.leader == back && joined.members.is_empty());
}

#[test]
fn members_of_another_kind_are_refused() {
    let (mut room, _) = Room::of_one();
    let other = Join { protocol_type: "connect".to_owned(), ..Room::request("", None) };
    assert_eq!(room.join(other), Err(ResponseError::InconsistentGroupProtocol));
    let other = Join { protocols: vec![("sticky".to_owned(), Bytes::new())], ..Room::request("", None) };
    assert_eq!(room.join(other), Err(ResponseError::InconsistentGroupProtocol));
}

#[test]
fn only_members_of_the_generation_commit_to_a_group_that_has_members() {
    let (mut room, id) = Room::of_one();
    let now = room.now;
    assert_eq!(room.group.check_commit(caller(&id), 1, false, now), Ok(()));
    assert_eq!(room.group.check_commit(caller(&id), 0, false, now), Err(ResponseError::IllegalGeneration));
    assert_eq!(room.group.check_commit(caller("stranger"), 1, true, now), Err(ResponseError::UnknownMemberId));
    assert_eq!(room.group.check_commit(caller(""), -1, false, now), Err(ResponseError::UnknownMemberId));
    assert_eq!(room.group.check_commit(caller(""), -1, true, now), Ok(()));
}

#[test]
fn anyone_commits_to_a_group_without_members_but_no_former_member() {
    let mut group = Group::default();
    let now = Instant::now();
    assert_eq!(group.check_commit(caller(""), -1, false, now), Ok(()));
    assert_eq!(group.check_commit(caller("former"), 3, true, now), Err(ResponseError::IllegalGeneration));
}

#[test]
fn members_that_wait_for_a_leader_who_died_outlive_it() {
    let mut room = Room::new();
    let (leader, follower) = (room.enter(None), room.enter(None));
    room.rejoin(&leader, None);
    assert_eq!(room.joined(&follower, None).leader, leader);
    assert_eq!(room.group.assignment(caller(&follower), 2, room.now), Ok(None));
    room.now += SESSION;
    room.group.expire(room.now);
    assert_eq!(room.group.joined(caller(&leader)), Err(ResponseError::UnknownMemberId));
    assert_eq!(room.group.assignment(caller(&follower), 2, room.now), Err(ResponseError::RebalanceInProgress));
    room.now += SESSION / 2;
    room.group.expire(room.now);
    room.rejoin(&follower, None);
    assert_eq!((room.joined(&follower, None).leader, room.joined(&follower, None).generation), (follower.clone(), 3));
}

#[test]
fn the_session_of_a_member_that_waited_for_its_leader_begins_with_the_answer() {
    let mut room = Room::new();
    let (leader, follower) = (room.enter(None), room.enter(None));
    room.rejoin(&leader, None);
    assert_eq!(room.group.assignment(caller(&follower), 2, room.now), Ok(None));
    room.now += SESSION;
    room.heartbeat(&leader).unwrap();
    room.assign(&leader, None, &[&leader, &follower]);
    assert!(!room.group.expire(room.now));
    room.now += SESSION;
    assert!(room.group.expire(room.now));
}

#[test]
fn a_static_member_that_kept_its_place_without_joining_is_not_told_of_a_former_generation() {
    let mut room = Room::new();
    let (absent, present) = (room.enter(Some("a")), room.enter(Some("b")));
    room.rejoin(&absent, Some("a"));
    room.assign(&absent, Some("a"), &[&absent, &present]);
    let third = room.enter(None);
    room.rejoin(&present, Some("b"));
    for _ in 0..4 {
        room.now += REBALANCE / 4;
        room.group.heartbeat(Caller { member_id: &absent, instance: Some("a") }, 2, room.now).unwrap_err();
        room.group.expire(room.now);
    }
    assert_eq!(room.joined(&third, None).generation, 3);
    let told = room.group.joined(Caller { member_id: &absent, instance: Some("a") });
    assert_eq!(told, Err(ResponseError::RebalanceInProgress));
}

#[test]
fn a_leader_that_lives_but_never_assigns_is_removed_when_the_rebalance_has_lasted_too_long() {
    let mut room = Room::new();
    let (leader, follower) = (room.enter(None), room.enter(None));
    room.rejoin(&leader, None);
    assert_eq!(room.group.assignment(caller(&follower), 2, room.now), Ok(None));
    for _ in 0..4 {
        room.heartbeat(&leader).unwrap();
        room.now += REBALANCE / 4;
        room.group.expire(room.now);
    }
    assert_eq!(room.heartbeat(&leader), Err(ResponseError::UnknownMemberId));
    assert_eq!(room.group.assignment(caller(&follower), 2, room.now), Err(ResponseError::RebalanceInProgress));
}
