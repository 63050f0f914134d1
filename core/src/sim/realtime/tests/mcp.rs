//! Tools that the Realtime server calls by itself, asked for or not.

use super::calls::Noting;
use super::*;

const CALL: [&str; 8] = [
    "response.output_item.added",
    "conversation.item.added",
    "response.mcp_call_arguments.delta",
    "response.mcp_call_arguments.done",
    "response.mcp_call.in_progress",
    "response.mcp_call.completed",
    "response.output_item.done",
    "conversation.item.done",
];

fn call(output: Result<&str, &str>) -> McpCall {
    McpCall {
        server_label: "stock".into(),
        name: "count".into(),
        arguments: r#"{"of":"lamps"}"#.into(),
        output: output.map(str::to_owned).map_err(str::to_owned),
    }
}

fn update(approval: Value) -> Value {
    json!({ "type": "session.update", "session": { "type": "realtime", "tools": [{
        "type": "mcp", "server_label": "stock", "server_url": "https://stock.example/mcp",
        "allowed_tools": ["count"], "require_approval": approval,
    }]}})
}

fn answer(request: &Value, approve: bool) -> Value {
    json!({ "type": "conversation.item.create", "item": {
        "type": "mcp_approval_response", "id": "mine", "approval_request_id": request, "approve": approve,
    }})
}

fn ask(client: &mut Client) -> Vec<String> {
    client.events.clear();
    client.send(json!({ "type": "response.create" }));
    client.run(1000);
    kinds_of(client)
}

/// What came, each kind once where it comes in a row.
fn kinds_of(client: &Client) -> Vec<String> {
    let mut kinds: Vec<_> = client.events.iter().map(|e| e["type"].as_str().unwrap().to_owned()).collect();
    kinds.dedup();
    kinds
}

#[test]
fn the_tools_of_a_server_are_listed_once() {
    let mut client = Client::open(Parrot::new());
    client.send(update("never".into()));
    assert_eq!(client.first("conversation.item.done")["item"]["tools"][0]["name"], "count");
    assert_eq!(
        client.told(),
        [
            "session.updated",
            "mcp_list_tools.in_progress",
            "conversation.item.added",
            "conversation.item.done",
            "mcp_list_tools.completed",
        ]
    );
    client.send(update("never".into()));
    assert_eq!(client.told(), ["session.updated"]);
}

#[test]
fn a_tool_that_needs_no_approval_is_called() {
    for approval in [json!("never"), json!({ "never": { "tool_names": ["count"] } })] {
        let mut client =
            Client::open(Script::new([Answer::Mcp(call(Ok("7"))), Answer::Mcp(call(Err("down")))]));
        client.send(update(approval));
        let kinds = ask(&mut client);
        assert_eq!(kinds[2..10], CALL);
        assert_eq!(kinds[10..], ["response.done"]);
        let item = &client.first("response.done")["response"]["output"][0];
        assert_eq!((&item["output"], &item["error"]), (&json!("7"), &Value::Null));
        assert_eq!(item["arguments"], r#"{"of":"lamps"}"#);
        assert!(ask(&mut client).contains(&"response.mcp_call.failed".to_owned()));
        let item = &client.first("response.done")["response"]["output"][0];
        assert_eq!((&item["output"], &item["error"]["message"]), (&Value::Null, &json!("down")));
    }
}

#[test]
fn a_tool_that_needs_approval_is_asked_for_and_called_as_soon_as_it_may_be() {
    let (agent, asked) = Noting::new([Answer::Mcp(call(Ok("7"))), Answer::Mcp(call(Ok("8")))]);
    let mut client = Client::open(agent);
    client.send(update("always".into()));
    let kinds = ask(&mut client);
    assert!(!kinds.iter().any(|kind| kind.contains("mcp_call")));
    let request = client.first("response.done")["response"]["output"][0].clone();
    assert_eq!((&request["type"], &request["name"]), (&json!("mcp_approval_request"), &json!("count")));
    assert_eq!(client.error(answer(&json!("another"), true)).0, "invalid_value");
    client.events.clear();
    client.send(answer(&request["id"], true));
    client.run(1000);
    // Behind the answer's own item, the begin of a response, and its rate limits.
    assert_eq!(kinds_of(&client)[4..12], CALL);
    let item = &client.first("response.done")["response"]["output"][0];
    assert_eq!((&item["output"], &item["approval_request_id"]), (&json!("7"), &request["id"]));
    assert_eq!(asked.try_iter().count(), 1, "the agent was not asked for the call");
    assert_eq!(client.error(answer(&request["id"], true)).0, "invalid_value", "it is answered");

    ask(&mut client);
    let request = client.first("response.done")["response"]["output"][0]["id"].clone();
    client.send(json!({ "type": "conversation.item.delete", "item_id": "mine" }));
    client.send(answer(&request, false));
    ask(&mut client);
    assert_eq!(asked.try_iter().count(), 2, "what may not be called is not called");
}

#[test]
fn a_call_of_a_tool_that_is_cut_short_has_no_output() {
    for (millis, kind) in [(110, "response.mcp_call_arguments.done"), (180, "response.mcp_call.failed")] {
        let mut client = Client::open(Script::new([Answer::Mcp(call(Ok("7")))]));
        client.send(update("never".into()));
        client.send(json!({ "type": "response.create" }));
        client.run(millis);
        client.events.clear();
        client.send(json!({ "type": "response.cancel" }));
        assert_eq!(client.told()[0], kind);
        client.run(1000);
        assert!(client.events.is_empty());
    }
}
