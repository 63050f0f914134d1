//! What holds of the requests to ARI, of all calls and of the switchboard.

use ari_bridge_core::id::{CallId, RequestId};
use std::collections::{BTreeMap, BTreeSet};

/// Whose a request is: a call's, or the switchboard's.
type Owner = Option<CallId>;

#[derive(Debug)]
struct Asked {
    method: &'static str,
    path: String,
}

impl Asked {
    /// What it wants to be gone, or to be let go of.
    fn lets_go_of(&self) -> Option<&str> {
        let path = self.path.split('?').next().unwrap_or_default();
        match self.method {
            "DELETE" => Some(path),
            _ => path.strip_suffix("/continue"),
        }
    }

    fn is_create(&self) -> bool {
        self.method == "POST" && (self.path.contains("channelId=") || self.path.contains("bridgeId="))
    }

    fn tells_the_dialplan(&self) -> bool {
        self.path.contains("/variable?variable=ARI_BRIDGE_STATUS&")
    }
}

/// The requests that the bridge waits for, and what was ever created.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    open: BTreeMap<(Owner, RequestId), Asked>,
    created: BTreeSet<String>,
    told: BTreeSet<(Owner, String)>,
}

impl Requests {
    /// A request is sent. Never are two on their way that let go of the same thing, a create is never sent again, and the
    /// dialplan is told before the caller goes on, and once.
    pub(crate) fn sent(&mut self, owner: Owner, id: RequestId, method: &'static str, path: &str) {
        let asked = Asked { method, path: path.to_owned() };
        if let Some(what) = asked.lets_go_of() {
            let twin = self.open.iter().find(|(_, other)| other.lets_go_of() == Some(what));
            assert!(
                twin.is_none(),
                "two in flight to let go of {what}: {twin:?}, and {asked:?} of {owner:?}"
            );
        }
        if path.contains("/continue") {
            let of_owner = self.open.iter().filter(|((other, _), _)| *other == owner);
            let waits = of_owner.map(|(_, asked)| asked).find(|asked| asked.tells_the_dialplan());
            assert!(
                waits.is_none() || owner.is_none(),
                "the caller goes on while the dialplan is being told"
            );
        }
        if asked.tells_the_dialplan() {
            let is_first = self.told.insert((owner, path.to_owned()));
            assert!(is_first || owner.is_none(), "the dialplan is told twice: {path}");
        }
        assert!(
            !asked.is_create() || self.created.insert(path.to_owned()),
            "a create was sent twice: {path}"
        );
        let twice = self.open.insert((owner, id), asked);
        assert!(twice.is_none(), "{id:?} of {owner:?} is on its way already: {twice:?}");
    }

    /// The bridge hears what became of a request.
    pub(crate) fn settled(&mut self, owner: Owner, id: RequestId) {
        self.open.remove(&(owner, id));
    }

    /// A call is over. It waits for nothing.
    pub(crate) fn finished(&self, call: CallId) {
        let open: Vec<_> = self.open.iter().filter(|((owner, _), _)| *owner == Some(call)).collect();
        assert!(open.is_empty(), "{call:?} is over, with requests on their way: {open:?}");
    }

    /// A call hears that Asterisk was restarted: of what was asked of the old one it waits for creates only, which the new one
    /// may have got.
    pub(crate) fn asterisk_restarted(&mut self, call: CallId) {
        self.open.retain(|(owner, _), asked| *owner != Some(call) || asked.is_create());
    }

    /// The process is gone, and waits for nothing.
    pub(crate) fn forget(&mut self) {
        self.open.clear();
        self.told.clear();
    }

    /// How many are on their way.
    pub(crate) fn open(&self) -> usize {
        self.open.len()
    }
}
