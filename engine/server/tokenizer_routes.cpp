// SPDX-License-Identifier: GPL-3.0-or-later
// The tokenizer and the chat format over HTTP: what a client's text and messages become.
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include <nlohmann/json.hpp>

#include "engine/server/api_routes.h"
#include "engine/server/chat_request_codec.h"
#include "engine/server/json_field.h"
#include "engine/tokenizer/chat_encoder.h"
#include "engine/tokenizer/json_value.h"

namespace tandem::server {

namespace {

using Json = nlohmann::ordered_json;

HttpResponse jsonText(const Json& json) {
  return jsonResponse(json.dump(-1, ' ', false, Json::error_handler_t::replace));
}

/// {"content": "…"} or {"prompt": "…"}; with "parse_special": false, added tokens are plain text.
HttpResponse tokenize(const RouteContext& context, const std::string& body) {
  const Result<tokenizer::JsonValue> document = tokenizer::parseJson(body);
  if (!document) {
    return errorResponse(invalidRequest("the body is not usable JSON: " + document.error().text()));
  }
  std::optional<ApiError> problem;
  const JsonField fields(*document, problem);
  (void)fields.object();
  const JsonField text = fields["content"].present() ? fields["content"] : fields["prompt"];
  const std::string& content = text.string();
  const bool special = fields["parse_special"].booleanOr(true);
  if (problem) {
    return errorResponse(*problem);
  }
  const Result<std::vector<TokenId>> ids = context.tokenizer.encode(
      content,
      special ? tokenizer::AddedTokens::Recognise : tokenizer::AddedTokens::Plain);
  if (!ids) {
    return errorResponse(fromError(ids.error()));
  }
  return jsonText({{"tokens", *ids},
                   {"count", ids->size()},
                   {"max_model_len", context.engine.info().contextTokens}});
}

/// {"tokens": [ids]}
HttpResponse detokenize(const RouteContext& context, const std::string& body) {
  const Result<tokenizer::JsonValue> document = tokenizer::parseJson(body);
  if (!document) {
    return errorResponse(invalidRequest("the body is not usable JSON: " + document.error().text()));
  }
  std::optional<ApiError> problem;
  const JsonField fields(*document, problem);
  (void)fields.object();
  const std::int64_t lastId = context.engine.info().vocabSize - 1;
  std::vector<TokenId> ids;
  for (const JsonField& item : fields["tokens"].items()) {
    ids.push_back(static_cast<TokenId>(item.integer(0, lastId)));
  }
  if (problem) {
    return errorResponse(*problem);
  }
  const std::string text = context.tokenizer.decode(ids);
  return jsonText({{"content", text}, {"prompt", text}});
}

/// A chat request to the prompt that the model would get.
HttpResponse applyTemplate(const RouteContext& context, const std::string& body) {
  ApiResult<ChatRequest> request = parseChatRequest(body, context.defaultThinking);
  if (!request) {
    return errorResponse(request.error());
  }
  const Result<tokenizer::ChatPrompt> prompt =
      tokenizer::ChatEncoder(context.dialect).encode(std::move(request->conversation));
  if (!prompt) {
    return errorResponse(fromError(prompt.error()));
  }
  return jsonText({{"prompt", prompt->text}});
}

}  // namespace

std::vector<Route> tokenizerRoutes(const RouteContext& context) {
  using Action = HttpResponse (*)(const RouteContext&, const std::string&);
  const auto handler = [&context](Action action) -> Handler {
    return [context, action](const RouteRequest& request) -> Answer {
      return action(context, request.body);
    };
  };
  return {
      {"POST", "/tokenize", Access::NeedsKey, Runs::OnFrontThread, handler(tokenize)},
      {"POST", "/detokenize", Access::NeedsKey, Runs::OnFrontThread, handler(detokenize)},
      {"POST", "/apply-template", Access::NeedsKey, Runs::OnFrontThread, handler(applyTemplate)}};
}

}  // namespace tandem::server
